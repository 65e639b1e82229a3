#include "kvt/tuner/search/front.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"

namespace kvt::testing {
namespace {

Evaluation at(double bits, double kld, const char * label = "") {
    Evaluation e;
    e.label          = label;
    e.effective_bits = bits;
    e.kld            = kld;
    return e;
}

// 16 bits 0.003 is the floor; the front is 3: 0.50, 5: 0.02, 7: 0.008, 9: 0.004.
Study example() {
    Study study;
    study.floor       = 0.003;
    study.evaluations = {at(16, 0.003, "KV16"), at(9, 0.004, "KV8"), at(7, 0.011, "K8V4"), at(5, 0.02, "KV4"),
                         at(3, 0.5, "KV2"),     at(7, 0.008),        at(6, 0.03)};
    study.front       = pareto_front(study.evaluations);
    return study;
}

TEST(Front, HandMade) { EXPECT_EQ(example().front, (std::vector<int>{4, 3, 5, 1})); }

TEST(Front, DuplicatesOnceTheFirst) {
    EXPECT_EQ(pareto_front({at(5, 0.1), at(5, 0.1), at(4, 0.1), at(4, 0.1)}), std::vector<int>{2});
    EXPECT_EQ(pareto_front({at(5, 0.1), at(5, 0.05)}), std::vector<int>{1});
}

TEST(Front, FloorAndNaNTakeNoPart) {
    EXPECT_TRUE(pareto_front({}).empty());
    EXPECT_TRUE(pareto_front({at(16, 0.0, "KV16")}).empty());
    EXPECT_EQ(pareto_front({at(5, std::nan("")), at(6, 0.1)}), std::vector<int>{1});
}

TEST(Front, NothingInItIsBeatenAndAllElseIs) {
    SplitMix64 rng(3);
    for (int round = 0; round < 300; ++round) {
        std::vector<Evaluation> all;
        for (int i = 0; i < 30; ++i) all.push_back(at(static_cast<double>(rng.below(8)), static_cast<double>(rng.below(8))));
        const std::vector<int> front     = pareto_front(all);
        const auto             not_worse = [&](int a, int b) {
            const Evaluation & x = all[static_cast<size_t>(a)];
            const Evaluation & y = all[static_cast<size_t>(b)];
            return x.effective_bits <= y.effective_bits && x.kld <= y.kld;
        };
        for (size_t i = 1; i < front.size(); ++i) {
            EXPECT_LT(all[static_cast<size_t>(front[i - 1])].effective_bits, all[static_cast<size_t>(front[i])].effective_bits);
            EXPECT_GT(all[static_cast<size_t>(front[i - 1])].kld, all[static_cast<size_t>(front[i])].kld);
        }
        for (int p = 0; p < 30; ++p) {
            bool covered = false;
            for (const int f : front) covered = covered || not_worse(f, p);
            EXPECT_TRUE(covered);
        }
    }
}

TEST(ChoosePlan, WithinBits) {
    EXPECT_EQ(choose_plan(example(), {7.0, {}, {}})->evaluation, 5);
    EXPECT_EQ(choose_plan(example(), {6.9, {}, {}})->evaluation, 3);
    EXPECT_EQ(choose_plan(example(), {99.0, {}, {}})->evaluation, 1);
    const auto none = choose_plan(example(), {2.0, {}, {}});
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("3.00"), std::string::npos) << none.error().message;  // what could be had
}

TEST(ChoosePlan, WithinMemory) {
    Study study;
    study.model = {"m", "llama", std::string(64, 'a'), 2, 1, 64, 64};
    study.mode  = Mode::per_token_asym;
    for (const int bits : {8, 4, 2}) {
        Evaluation e     = at(bits + 0.5, 1.0 / bits);
        e.pairs          = {{bits, bits}, {bits, bits}};
        e.effective_bits = plan_size(plan_of(study.model, study.mode, e.pairs), 4096).effective_bits;
        study.evaluations.push_back(e);
    }
    study.front = pareto_front(study.evaluations);
    // 2 layers, K and V, 64 channels: 4.5 bits are 144 bytes a cell.
    const uint64_t fits_four = 144 * 1024;
    EXPECT_EQ(choose_plan(study, {{}, {}, MemoryBudget{fits_four, 1024, 1}})->evaluation, 1);
    EXPECT_EQ(choose_plan(study, {{}, {}, MemoryBudget{fits_four - 1, 1024, 1}})->evaluation, 2);
    EXPECT_EQ(choose_plan(study, {{}, {}, MemoryBudget{fits_four, 512, 2}})->evaluation, 1);
    EXPECT_EQ(choose_plan(study, {3.0, {}, MemoryBudget{fits_four, 1024, 1}})->evaluation, 2) << "both limits hold";
    const auto none = choose_plan(study, {{}, {}, MemoryBudget{1000, 1024, 1}});
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().message,
              "no plan fits 0.0 MiB for 1 x 1024 cells: the smallest one measured has KLD 0.5000 at 2.50 effective "
              "bits, 0.1 MiB");
}

TEST(ChoosePlan, InfeasibleBudgetNamesTheSmallestPlan) {
    const ModelInfo model{"m", "llama", std::string(64, 'a'), 2, 1, 64, 64};
    EXPECT_TRUE(check_feasible(model, Mode::per_token_asym, {}).ok());
    EXPECT_TRUE(check_feasible(model, Mode::per_token_asym, {2.6, {}, {}}).ok());
    const auto bits = check_feasible(model, Mode::per_token_asym, {2.4, {}, {}});
    ASSERT_FALSE(bits.ok());
    EXPECT_EQ(bits.error().message,
              "no plan fits 2.4 effective bits: the smallest one, 2 bits everywhere, takes 2.50 effective bits");
    const auto memory = check_feasible(model, Mode::per_token_asym, {{}, {}, MemoryBudget{1000, 16384, 1}});
    ASSERT_FALSE(memory.ok());
    EXPECT_NE(memory.error().message.find("takes 2.50 effective bits, 1.2 MiB"), std::string::npos) << memory.error().message;
}

// K costs 1 microsecond a bit, V half of that; f16 takes 30.
SpeedBudget faster(double factor) {
    SpeedBudget speed;
    speed.factor = factor;
    for (size_t i = 0; i < kCodeWidths.size(); ++i) {
        speed.costs.k[i] = 1e-6 * kCodeWidths[i];
        speed.costs.v[i] = 0.5e-6 * kCodeWidths[i];
    }
    speed.costs.f16     = 30e-6;
    speed.costs.n_cells = 8192;
    return speed;
}

TEST(ChoosePlan, WithinTime) {
    Study study;
    study.model    = {"m", "llama", std::string(64, 'a'), 2, 1, 64, 64};
    study.mode     = Mode::per_token_asym;
    const auto add = [&study](PairBits pair, double kld) {
        Evaluation e     = at(0, kld);
        e.pairs          = {pair, pair};
        e.effective_bits = plan_size(plan_of(study.model, study.mode, e.pairs), 4096).effective_bits;
        study.evaluations.push_back(e);
    };
    add({8, 8}, 0.01);  // 12 us, 2.5 times
    add({6, 4}, 0.02);  // 8 us, 3.75 times
    add({4, 6}, 0.03);  // 7 us, 4.29 times; beaten in bits, but faster
    add({2, 2}, 0.5);   // 3 us, 10 times
    study.front = pareto_front(study.evaluations);
    ASSERT_EQ(study.front, (std::vector<int>{3, 1, 0}));
    Budget budget;
    for (const auto & [factor, chosen] : {std::pair{2.0, 0}, {2.6, 1}, {4.0, 2}, {5.0, 3}}) {
        budget.speed      = faster(factor);
        const auto choice = choose_plan(study, budget);
        ASSERT_TRUE(choice.ok()) << choice.error().message;
        EXPECT_EQ(choice->evaluation, chosen) << factor;
    }
    EXPECT_NE(choose_plan(study, budget)->why.find("attention 5 times as fast as f16 at 8192 cells"), std::string::npos);
    budget.speed    = faster(2.0);
    budget.max_bits = 5.6;
    EXPECT_EQ(choose_plan(study, budget)->evaluation, 1) << "both limits hold";
    budget.max_bits.reset();
    budget.max_kld = 0.03;
    budget.speed   = faster(4.0);
    EXPECT_EQ(choose_plan(study, budget)->evaluation, 2);
    budget.speed    = faster(11.0);
    const auto none = choose_plan(study, budget);
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("the fastest one measured has 0.5000 at 2.50 effective bits, 10.00 times"),
              std::string::npos)
        << none.error().message;
    const auto never = check_feasible(study.model, study.mode, budget);
    ASSERT_FALSE(never.ok());
    EXPECT_EQ(never.error().message,
              "--speed 11x: the fastest plan, KV2 everywhere, attends 10.00 times as fast as f16 at 8192 cells");
    budget.speed = faster(9.9);
    EXPECT_TRUE(check_feasible(study.model, study.mode, budget).ok());
}

TEST(ChoosePlan, TaskLossesHaveALimitOfTheirOwn) {
    Study study     = example();
    study.objective = "gsm8k accuracy";
    study.floor     = 0.0;
    EXPECT_EQ(choose_plan(study, {})->evaluation, 5) << "0.008, and 0.01 is allowed";
    EXPECT_NE(choose_plan(study, {})->why.find("whose gsm8k accuracy loss (0.0080) is at most 0.01"), std::string::npos)
        << choose_plan(study, {})->why;
    EXPECT_NE(choose_plan(study, {7.0, {}, {}})->why.find("the lowest gsm8k accuracy loss within 7 effective bits"),
              std::string::npos);
}

TEST(ChoosePlan, WithinKld) {
    EXPECT_EQ(choose_plan(example(), {{}, 0.02, {}})->evaluation, 3);
    EXPECT_EQ(choose_plan(example(), {{}, 0.0199, {}})->evaluation, 5);
    const auto none = choose_plan(example(), {{}, 0.0001, {}});
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("0.0040"), std::string::npos) << none.error().message;
}

TEST(ChoosePlan, WithinBoth) {
    EXPECT_EQ(choose_plan(example(), {8.0, 0.01, {}})->evaluation, 5);
    const auto none = choose_plan(example(), {6.0, 0.01, {}});
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("6"), std::string::npos);
}

TEST(ChoosePlan, DefaultIsTheSmallestNearTheFloor) {
    Study study = example();
    EXPECT_EQ(choose_plan(study, {})->evaluation, 5);  // 0.008 <= 3 * 0.003
    study.floor       = 0.001;                         // nothing is within 0.003
    const auto lowest = choose_plan(study, {});
    ASSERT_TRUE(lowest.ok());
    EXPECT_EQ(lowest->evaluation, 1);
    EXPECT_NE(lowest->why.find("0.0010"), std::string::npos) << lowest->why;
    EXPECT_FALSE(choose_plan(Study{}, {}).ok());
}

}  // namespace
}  // namespace kvt::testing
