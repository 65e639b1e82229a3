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
