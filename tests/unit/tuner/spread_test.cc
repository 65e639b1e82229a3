#include "kvt/tuner/spread.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/tuner/search/allocate.h"
#include "planted.h"
#include "support/local_crew.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;

double cost_of(const PrecisionPlan & plan) {
    double sum = 0.003;
    for (const LayerPlan & l : plan.layers)
        sum += (l.layer + 1) * (std::pow(4.0, -l.k.bits / 2.0) + 0.4 * std::pow(4.0, -l.v.bits / 2.0)) / 3;
    return sum;
}

class Planted final : public Objective {
public:
    explicit Planted(std::string name = "own") : name_(std::move(name)) {}
    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        if (before) before();
        ++calls;
        if (fail) return Error{"logits are not finite"};
        const double kld = cost_of(plan);
        return ObjectiveScore{kld, std::nan(""), 1.1 * kld, {kld / 3, kld / 7}, 0.5, name_};
    }
    std::atomic<int>      calls = 0;
    bool                  fail  = false;
    std::function<void()> before;

private:
    std::string name_;
};

Study start() {
    Study study;
    study.model         = planted_model(6);
    study.data_sha256   = std::string(64, 'd');
    study.inputs_sha256 = std::string(64, 'e');
    study.mode          = Mode::per_token_asym;
    study.method        = kKnapsack;
    study.chunk_tokens  = 64;
    return study;
}

std::vector<PrecisionPlan> plans(int n) {
    std::vector<PrecisionPlan> all;
    for (int i = 0; i < n; ++i) {
        std::vector<PairBits> pairs(6, {8, 4});
        for (size_t l = 0; l < 6; ++l) pairs[l].k = (i >> l) % 2 != 0 ? 8 : 4;
        all.push_back(plan_of(start(), pairs));
    }
    return all;
}

const Objective::MayBegin kAlways = [] { return ok_status(); };

// A coordinator in this thread and workers in others.
class Spread : public ::testing::Test {
protected:
    void SetUp() override {
        for (int rank = 1; rank < 4; ++rank) {
            workers_.push_back(std::make_unique<LocalCrew>(office_, rank));
            scorers_.push_back(std::make_unique<Planted>("worker " + std::to_string(rank)));
        }
    }
    void TearDown() override {
        end_work(crew_);
        for (std::thread & t : threads_) t.join();
    }
    // Worker `rank` begins to serve.
    void serve_as(int rank) {
        const auto w = static_cast<size_t>(rank - 1);
        threads_.emplace_back([this, w] {
            ends_[w] = serve(*workers_[w],
                             [this, w](const Study & setup, const std::string & settings) -> Result<std::unique_ptr<Objective>> {
                                 if (refuses_ == static_cast<int>(w) + 1) return Error{"another model"};
                                 EXPECT_EQ(setup.model, start().model);
                                 EXPECT_EQ(settings, "64 3");
                                 struct Borrowed final : Objective {
                                     explicit Borrowed(Objective & o) : o_(o) {}
                                     Result<ObjectiveScore> score(const PrecisionPlan & plan) override { return o_.score(plan); }
                                     Objective &            o_;
                                 };
                                 return std::unique_ptr<Objective>(std::make_unique<Borrowed>(*scorers_[w]));
                             });
        });
    }
    // Scores by plan, each of which must come once.
    Result<std::vector<ObjectiveScore>> score(SpreadObjective & spread, const std::vector<PrecisionPlan> & all,
                                              const Objective::MayBegin & may = kAlways) {
        std::vector<ObjectiveScore> found(all.size());
        std::set<size_t>            seen;
        KVT_CHECK_OK(spread.score_all(all, may, [&](size_t i, const ObjectiveScore & s) {
            EXPECT_TRUE(seen.insert(i).second) << "plan " << i << " came twice";
            found[i] = s;
            return ok_status();
        }));
        EXPECT_EQ(seen.size(), all.size());
        return found;
    }

    CrewOffice                              office_{4};
    LocalCrew                               crew_{office_, 0};
    Planted                                 own_;
    std::vector<std::unique_ptr<LocalCrew>> workers_;
    std::vector<std::unique_ptr<Planted>>   scorers_;
    std::vector<std::thread>                threads_;
    std::vector<Status>                     ends_    = std::vector<Status>(3, ok_status());
    int                                     refuses_ = 0;
};

TEST_F(Spread, EveryPlanIsScoredOnceByWorkersExactly) {
    begin_work(crew_, start(), "64 3");
    for (int rank = 1; rank <= 3; ++rank) serve_as(rank);
    SpreadObjective spread(crew_, own_);
    const auto      all   = plans(40);
    const auto      found = score(spread, all);
    ASSERT_TRUE(found.ok()) << found.error().message;
    for (size_t i = 0; i < all.size(); ++i) {
        const double kld = cost_of(all[i]);
        EXPECT_EQ((*found)[i].kld, kld) << "not a digit is lost on the way";
        EXPECT_TRUE(std::isnan((*found)[i].ci_low));
        EXPECT_EQ((*found)[i].ci_high, 1.1 * kld);
        EXPECT_EQ((*found)[i].clipped, (std::vector<double>{kld / 3, kld / 7}));
        EXPECT_THAT((*found)[i].worker, HasSubstr("worker "));
    }
    EXPECT_EQ(own_.calls, 0);
    EXPECT_EQ(scorers_[0]->calls + scorers_[1]->calls + scorers_[2]->calls, 40);
    const auto one = spread.score(all[3]);
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->kld, cost_of(all[3]));
}

TEST_F(Spread, PlanOfALostWorkerGoesToAnother) {
    scorers_[1]->before = [this] { office_.silent[2] = true; };  // rank 2 stops in its first plan
    begin_work(crew_, start(), "64 3");
    for (int rank = 1; rank <= 3; ++rank) serve_as(rank);
    scorers_[0]->before = scorers_[2]->before = [this] {
        while (scorers_[1]->calls == 0 && !office_.silent[2]) std::this_thread::yield();
    };
    SpreadObjective spread(crew_, own_);
    const auto      found = score(spread, plans(12));
    ASSERT_TRUE(found.ok()) << found.error().message;
    for (const ObjectiveScore & s : *found) EXPECT_NE(s.worker, "worker 2");
    EXPECT_EQ(scorers_[0]->calls + scorers_[2]->calls, 12);
    EXPECT_EQ(own_.calls, 0);
}

TEST_F(Spread, WithoutWorkersTheCoordinatorGoesOnAlone) {
    for (int rank = 1; rank <= 3; ++rank) office_.silent[static_cast<size_t>(rank)] = true;
    SpreadObjective spread(crew_, own_);
    const auto      found = score(spread, plans(5));
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(own_.calls, 5);
}

TEST_F(Spread, AWorkerThatCannotPrepareLeavesAndSaysWhy) {
    refuses_ = 1;
    begin_work(crew_, start(), "64 3");
    for (int rank = 1; rank <= 3; ++rank) serve_as(rank);
    SpreadObjective spread(crew_, own_);
    ASSERT_TRUE(score(spread, plans(6)).ok());
    EXPECT_EQ(scorers_[1]->calls + scorers_[2]->calls, 6);
    end_work(crew_);
    for (std::thread & t : threads_) t.join();
    threads_.clear();
    ASSERT_FALSE(ends_[0].ok());
    EXPECT_EQ(ends_[0].error().message, "another model");
    EXPECT_TRUE(ends_[1].ok());
}

TEST_F(Spread, AScoreThatFailsEndsTheSearch) {
    scorers_[0]->fail = true;
    begin_work(crew_, start(), "64 3");
    serve_as(1);
    SpreadObjective spread(crew_, own_);
    const auto      found = score(spread, plans(2));
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().message, "process 1: logits are not finite");
}

TEST_F(Spread, NothingIsBegunOnceItMayNot) {
    begin_work(crew_, start(), "64 3");
    serve_as(1);
    SpreadObjective spread(crew_, own_);
    int             asked = 0, scored = 0;
    const Status    done = spread.score_all(
           plans(8), [&]() -> Status { return ++asked > 3 ? Status(Error{"the time is up"}) : ok_status(); },
           [&](size_t, const ObjectiveScore &) {
            ++scored;
            return ok_status();
        });
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().message, "the time is up");
    EXPECT_EQ(scored, 3) << "what had been begun is waited for";
}

TEST_F(Spread, WhatIsNotUnderstoodIsAnError) {
    LocalCrew(office_, 1).send(0, "{\"kind\": \"hello\"}");
    SpreadObjective spread(crew_, own_);
    const auto      found = score(spread, plans(1));
    ASSERT_FALSE(found.ok());
    EXPECT_THAT(found.error().message, HasSubstr("process 1 does not speak"));
}

TEST_F(Spread, AWorkerLeavesACoordinatorThatIsSilent) {
    office_.silent[0] = true;
    const Status done = serve(*workers_[0], {});
    ASSERT_FALSE(done.ok());
    EXPECT_THAT(done.error().message, HasSubstr("nothing was heard of the coordinator"));
}

// Whoever scores, and in whatever order scores arrive, the study is that of one process, to the byte.
TEST_F(Spread, SearchGivesTheStudyOfOneProcess) {
    const SaveStudy save = [](const Study &) { return ok_status(); };
    Planted         alone;
    const auto      expected = run_allocation(start(), alone, {}, save, no_progress());
    ASSERT_TRUE(expected.ok());
    std::atomic<unsigned> turn = 0;
    for (auto & scorer : scorers_)
        scorer->before = [&turn] { std::this_thread::sleep_for(std::chrono::microseconds(turn++ * 7919 % 3000)); };
    begin_work(crew_, start(), "64 3");
    for (int rank = 1; rank <= 3; ++rank) serve_as(rank);
    SpreadObjective spread(crew_, own_);
    size_t          most_ahead = 0;
    const SaveStudy watch      = [&](const Study & s) {
        most_ahead = std::max(most_ahead, s.ahead.size());
        return ok_status();
    };
    const auto found = run_allocation(start(), spread, {}, watch, no_progress());
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(write_record(*found), write_record(*expected));
    EXPECT_TRUE(found->ahead.empty());
    EXPECT_GT(most_ahead, 0u) << "scores came out of order, and were saved when they came";
}

}  // namespace
}  // namespace kvt::testing
