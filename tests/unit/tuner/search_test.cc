#include "kvt/tuner/search/search.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "kvt/tuner/search/front.h"
#include "planted.h"

namespace kvt::testing {
namespace {

constexpr int kLayers = 6;

// Layer l costs (l + 1) * (error of its key bits + 0.4 * error of its value bits), plus a small joint term.
double cost_of(const PrecisionPlan & plan) {
    const auto error = [](int bits) { return bits == 16 ? 0.0 : std::pow(4.0, -bits / 2.0); };
    double     sum   = 0.003;
    double     joint = 1;
    for (const LayerPlan & layer : plan.layers) {
        const double e = error(layer.k.bits) + 0.4 * error(layer.v.bits);
        sum += (layer.layer + 1) * e;
        joint *= 1 + e;
    }
    return sum + 0.01 * (joint - 1);
}

class Synthetic final : public Objective {
public:
    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        ++calls;
        if (calls == fail_at) return Error{"interrupted: planted"};
        EXPECT_TRUE(seen_.insert(write_plan(plan)).second) << "a plan was scored twice";
        const double kld = cost_of(plan);
        return ObjectiveScore{kld, 0.9 * kld, 1.1 * kld};
    }
    int calls = 0, fail_at = -1;

private:
    std::set<std::string> seen_;
};

// Three groups of layers: {0, 3}, {1, 2, 4}, {5}.
Study start() {
    Study study;
    study.model = study.groups.model = planted_model(kLayers);
    const std::vector<int>    d      = planted_row("D").kept;
    const std::vector<double> e_o(d.size(), 0.1);
    study.groups.groups = {{{0, 3}, d, e_o}, {{1, 2, 4}, d, e_o}, {{5}, planted_row("V1").kept, e_o}};
    return study;
}

const SaveStudy kNoSave = [](const Study &) { return ok_status(); };

std::string text_of(Study study) { return write_record(study); }

Result<Study> search(Synthetic & objective, uint64_t seed = 1, const SaveStudy & save = kNoSave, Study from = start()) {
    return run_search(std::move(from), objective, {12, 5, seed}, save, no_progress());
}

TEST(Search, ScoresFloorAndUniformPairsFirst) {
    Synthetic  objective;
    const auto study = search(objective);
    ASSERT_TRUE(study.ok()) << study.error().message;
    const char * names[] = {"KV16", "KV8", "K8V4", "K8V2", "K4V8", "KV4", "K4V2", "K2V8", "K2V4", "KV2"};
    for (size_t i = 0; i < std::size(names); ++i) EXPECT_EQ(study->evaluations[i].label, names[i]);
    EXPECT_DOUBLE_EQ(study->floor, 0.003);
    EXPECT_TRUE(study->complete);
    EXPECT_EQ(objective.calls, static_cast<int>(study->evaluations.size()));
    EXPECT_LE(objective.calls, max_evaluations(study->groups, {12, 5, 1}));
    EXPECT_GT(objective.calls, 30);  // it went on after the uniform pairs
}

TEST(Search, EvaluationsSayWhatWasScored) {
    Synthetic  objective;
    const auto study = search(objective);
    ASSERT_TRUE(study.ok());
    for (const Evaluation & e : study->evaluations) {
        ASSERT_EQ(e.pairs.size(), static_cast<size_t>(kLayers));
        const PrecisionPlan plan = plan_of(study->model, study->mode, e.pairs);
        EXPECT_DOUBLE_EQ(e.kld, cost_of(plan));
        EXPECT_DOUBLE_EQ(e.payload_bits, payload_bits(plan));
        EXPECT_DOUBLE_EQ(e.effective_bits, plan_size(plan, 4096).effective_bits);
        if (e.choice.empty()) continue;
        for (size_t g = 0; g < study->groups.groups.size(); ++g) {  // layers of a group share the chosen candidate
            const LayerGroup & group = study->groups.groups[g];
            const int          pair  = group.pairs[static_cast<size_t>(e.choice[g])];
            for (const int l : group.layers) EXPECT_EQ(e.pairs[static_cast<size_t>(l)], kPairs[static_cast<size_t>(pair)]);
        }
    }
}

TEST(Search, SameSeedSameStudyOtherSeedOther) {
    Synthetic  a, b, c;
    const auto first = search(a), again = search(b), other = search(c, 2);
    ASSERT_TRUE(first.ok() && again.ok() && other.ok());
    EXPECT_EQ(text_of(*first), text_of(*again));
    EXPECT_NE(text_of(*first), text_of(*other));
}

TEST(Search, InterruptedAnywhereAndResumedEqualsUninterrupted) {
    Synthetic  whole;
    const auto expected = search(whole);
    ASSERT_TRUE(expected.ok());
    for (const int stop : {1, 2, 7, 11, 12, 20, whole.calls}) {
        Study      saved = start();
        const auto save  = [&](const Study & study) {
            saved = study;
            return ok_status();
        };
        Synthetic cut;
        cut.fail_at        = stop;
        const auto stopped = search(cut, 1, save);
        ASSERT_FALSE(stopped.ok());
        EXPECT_EQ(stopped.error().message, "interrupted: planted");
        EXPECT_FALSE(saved.complete);
        EXPECT_EQ(saved.evaluations.size(), static_cast<size_t>(stop - 1));  // everything scored was saved

        Study reread = start();  // through the file form, as a real resume goes
        if (stop > 1) {
            const auto parsed = parse_study(write_record(saved));
            ASSERT_TRUE(parsed.ok()) << parsed.error().message;
            reread = *parsed;
        }
        Synthetic  rest;
        const auto resumed = search(rest, 1, save, reread);
        ASSERT_TRUE(resumed.ok());
        EXPECT_EQ(text_of(*resumed), text_of(*expected)) << "stopped at " << stop;
        EXPECT_EQ(rest.calls, whole.calls - (stop - 1));
    }
}

TEST(Search, FinishedStudyNeedsNoScore) {
    Synthetic  first, second;
    const auto study = search(first);
    ASSERT_TRUE(study.ok());
    const auto again = search(second, 1, kNoSave, *study);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(second.calls, 0);
    EXPECT_EQ(text_of(*again), text_of(*study));
}

TEST(Search, FrontIsNeverWorseThanTheUniformPairs) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        Synthetic  objective;
        const auto study = search(objective, seed);
        ASSERT_TRUE(study.ok());
        EXPECT_EQ(study->front, pareto_front(study->evaluations));
        for (const Evaluation & e : study->evaluations) {
            if (e.label.empty() || e.label == "KV16") continue;
            bool covered = false;
            for (const int f : study->front) {
                const Evaluation & point = study->evaluations[static_cast<size_t>(f)];
                covered                  = covered || (point.effective_bits <= e.effective_bits && point.kld <= e.kld);
            }
            EXPECT_TRUE(covered) << e.label;
        }
    }
}

// 5^3 = 125 plans: the whole front is known, and 12 x 6 evaluations should find most of what matters.
TEST(Search, FindsMixedPlansBetterThanUniform) {
    Synthetic  objective;
    const auto study = run_search(start(), objective, {24, 12, 1}, kNoSave, no_progress());
    ASSERT_TRUE(study.ok());
    std::vector<Evaluation> all;
    for (int a = 0; a < 5; ++a) {
        for (int b = 0; b < 5; ++b) {
            for (int c = 0; c < 5; ++c) {
                const int             choice[] = {a, b, c};
                std::vector<PairBits> pairs(kLayers);
                for (size_t g = 0; g < 3; ++g) {
                    const LayerGroup & group = study->groups.groups[g];
                    for (const int l : group.layers)
                        pairs[static_cast<size_t>(l)] = kPairs[static_cast<size_t>(group.pairs[static_cast<size_t>(choice[g])])];
                }
                const PrecisionPlan plan = plan_of(study->model, study->mode, pairs);
                Evaluation          e;
                e.kld            = cost_of(plan);
                e.effective_bits = plan_size(plan, 4096).effective_bits;
                all.push_back(e);
            }
        }
    }
    int                    found = 0;
    const std::vector<int> best  = pareto_front(all);
    for (const int i : best) {
        for (const int f : study->front) {
            const Evaluation & x = all[static_cast<size_t>(i)];
            const Evaluation & y = study->evaluations[static_cast<size_t>(f)];
            if (x.effective_bits == y.effective_bits && std::abs(x.kld - y.kld) < 1e-12) ++found;
        }
    }
    EXPECT_GE(2 * found, static_cast<int>(best.size())) << found << " of " << best.size() << " points of the true front";
}

SearchOptions as_published() {
    SearchOptions o{12, 6, 1};
    o.algorithm   = Algorithm::moead;
    o.first       = FirstPlans::chance;
    o.soft_limits = {4, 6};
    return o;
}

TEST(Search, MoeadWithSoftLimitsIsRepeatable) {
    Synthetic  a, b;
    const auto study = run_search(start(), a, as_published(), kNoSave, no_progress());
    const auto again = run_search(start(), b, as_published(), kNoSave, no_progress());
    ASSERT_TRUE(study.ok() && again.ok()) << study.error().message;
    EXPECT_EQ(text_of(*study), text_of(*again));
    EXPECT_EQ(study->method, kMoead);
    EXPECT_EQ(study->soft_limits, (std::vector<double>{4, 6}));
    EXPECT_FALSE(study->seeded);
    EXPECT_LE(a.calls, max_evaluations(study->groups, as_published()));
    EXPECT_EQ(study->front, pareto_front(study->evaluations)) << "of both runs together";
    EXPECT_EQ(write_record(*parse_study(text_of(*study))), text_of(*study));
    int mixed = 0;
    for (const int i : study->front) mixed += study->evaluations[static_cast<size_t>(i)].label.empty();
    EXPECT_GE(mixed, 3);
    const auto four = choose_within_payload(*study, 4), six = choose_within_payload(*study, 6);
    ASSERT_TRUE(four.ok() && six.ok());
    const auto & low = study->evaluations[static_cast<size_t>(four->evaluation)];
    EXPECT_LE(low.payload_bits, 4);
    for (const Evaluation & e : study->evaluations) {
        if (e.payload_bits <= 4) {
            EXPECT_GE(e.kld, low.kld) << "the lowest KLD within 4 bits is chosen";
        }
    }
    EXPECT_FALSE(choose_within_payload(*study, 1.9).ok());
}

// A limit pulls the sampler below it: most of what it proposes after the first population keeps within.
TEST(Search, SoftLimitRanksLargerPlansBehind) {
    for (const Algorithm algorithm : {Algorithm::nsga2, Algorithm::moead}) {
        SearchOptions options   = as_published();
        options.algorithm       = algorithm;
        options.generations     = 10;
        const auto share_within = [&](std::vector<double> limits) {
            Synthetic objective;
            options.soft_limits = std::move(limits);
            const auto study    = run_search(start(), objective, options, kNoSave, no_progress());
            EXPECT_TRUE(study.ok());
            int within = 0, all = 0;
            for (size_t i = 10; i < study->evaluations.size(); ++i) {
                ++all;
                within += study->evaluations[i].payload_bits <= 3.5;
            }
            return static_cast<double>(within) / all;
        };
        EXPECT_GT(share_within({3.5}), 1.3 * share_within({}));
    }
}

TEST(Search, TrialsCountTheFirstPopulation) {
    EXPECT_EQ(generations_of_trials(200, 20), 9);
    EXPECT_EQ(generations_of_trials(200, 16), 12);  // 208 plans are nearer than 192
    EXPECT_EQ(generations_of_trials(16, 16), 1);
}

TEST(Search, SpaceOfOnePlanIsServed) {
    Study from         = start();
    from.groups.groups = {{{0, 1, 2, 3, 4, 5}, {8}, {0.9}}};
    Synthetic  objective;
    const auto study = search(objective, 1, kNoSave, from);
    ASSERT_TRUE(study.ok()) << study.error().message;
    EXPECT_EQ(objective.calls, 10);  // KV2 was scored as a uniform pair
}

TEST(Search, RefusesBadOptionsAndGroups) {
    Synthetic  objective;
    const auto message = [&](const SearchOptions & options, const Study & from) {
        const auto result = run_search(from, objective, options, kNoSave, no_progress());
        return result.ok() ? std::string("accepted") : result.error().message;
    };
    EXPECT_NE(message({10, 5, 1}, start()).find("population 10"), std::string::npos);
    EXPECT_NE(message({4, 5, 1}, start()).find("population 4"), std::string::npos);
    SearchOptions far = as_published();
    far.soft_limits   = {9};
    EXPECT_NE(message(far, start()).find("soft limit 9"), std::string::npos);
    EXPECT_NE(message({12, 0, 1}, start()).find("generations 0"), std::string::npos);
    Study missing = start();
    missing.groups.groups.pop_back();
    EXPECT_NE(message({12, 5, 1}, missing).find("layers"), std::string::npos);
    Study twice                   = start();
    twice.groups.groups[2].layers = {0};
    EXPECT_NE(message({12, 5, 1}, twice).find("layers"), std::string::npos);
    EXPECT_EQ(objective.calls, 0);
}

TEST(Search, TimeIsUpKeepsWhatWasFoundAndGoesOnLater) {
    Synthetic  whole, cut;
    const auto expected = search(whole);
    const auto stopped  = run_search(start(), cut, {12, 5, 1}, kNoSave, no_progress(), [&cut] { return cut.calls / 20.0; });
    ASSERT_TRUE(stopped.ok()) << stopped.error().message;
    EXPECT_EQ(cut.calls, 20);
    EXPECT_FALSE(stopped->complete);
    EXPECT_TRUE(choose_plan(*stopped, {}).ok());
    Synthetic  rest;
    const auto finished = search(rest, 1, kNoSave, *stopped);
    ASSERT_TRUE(finished.ok());
    EXPECT_EQ(text_of(*finished), text_of(*expected));
}

TEST(Search, StudyThatCannotBeSavedStopsIt) {
    Synthetic  objective;
    const auto result = search(objective, 1, [](const Study &) -> Status { return Error{"disk full"}; });
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message, "disk full");
    EXPECT_EQ(objective.calls, 1);
}

}  // namespace
}  // namespace kvt::testing
