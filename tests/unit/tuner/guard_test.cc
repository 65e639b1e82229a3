#include "kvt/tuner/search/guard.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/tuner/search/allocate.h"
#include "planted.h"

namespace kvt::testing {
namespace {

constexpr int kParts = 5;

// 40 plans of one size that are all equally good; what tells them apart is noise of each part of the data.
Study alike(double noise) {
    Study study;
    study.model  = planted_model(2);
    study.mode   = Mode::per_token_asym;
    study.method = kNsga2;
    SplitMix64 rng(7);
    for (int i = 0; i < 40; ++i) {
        Evaluation e;
        e.pairs          = {{4, 4}, {4, 4}};
        e.effective_bits = 4.5;
        for (int p = 0; p < kParts; ++p) {
            e.clipped.push_back(0.02 + noise * (rng.uniform() - 0.5));
            e.kld += e.clipped.back() / kParts;
        }
        study.evaluations.push_back(e);
    }
    study.front = pareto_front(study.evaluations);
    return study;
}

TEST(GuardChoice, TheLuckiestOfEqualPlansIsTooGood) {
    const Study  study = alike(0.01);
    const Budget budget{4.5, {}, {}};
    const Choice choice = *choose_plan(study, budget);
    const Guard  guard  = guard_choice(study, budget, choice);
    EXPECT_EQ(guard.n_folds, kParts);
    const double seen = study.evaluations[static_cast<size_t>(choice.evaluation)].kld;
    EXPECT_LT(seen, 0.018) << "what the choice says of itself";
    EXPECT_NEAR(seen + guard.optimism, 0.02, 0.0015) << "what all plans have";
    EXPECT_EQ(guard.same_bits, -1.0) << "over groups";
}

TEST(GuardChoice, WithoutNoiseThereIsNoLuck) {
    const Study  study = alike(0.0);
    const Budget budget{4.5, {}, {}};
    const Guard  guard = guard_choice(study, budget, *choose_plan(study, budget));
    EXPECT_NEAR(guard.optimism, 0.0, 1e-12);
    EXPECT_EQ(guard.same_plan, 1.0);
}

TEST(GuardChoice, NothingIsSaidWithoutParts) {
    Study study = alike(0.01);
    study.evaluations[3].clipped.clear();
    EXPECT_EQ(guard_choice(study, {4.5, {}, {}}, *choose_plan(study, {4.5, {}, {}})).n_folds, 0);
}

// Uneven layers that every part of the data agrees on keep their bits; a layer that one part alone finds sensitive loses them
// without it.
TEST(GuardChoice, BitsThatAPartDecidesAreFound) {
    class Parts final : public Objective {
    public:
        explicit Parts(double noise) : noise_(noise) {}
        Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
            ObjectiveScore score{0, NAN, NAN, std::vector<double>(kParts, 0.003)};
            for (const LayerPlan & l : plan.layers) {
                for (size_t p = 0; p < kParts; ++p) {
                    // Of a layer that only the last part finds sensitive, the others say little.
                    const bool   only_here = noise_ > 0 && l.layer == 3 && p + 1 == kParts;
                    const double weight    = only_here ? noise_ : noise_ > 0 ? 1.0 : std::pow(1.5, l.layer);
                    score.clipped[p] += 0.3 * weight * (std::pow(0.25, l.k.bits) + std::pow(0.25, l.v.bits));
                }
            }
            for (const double c : score.clipped) score.kld += c / kParts;
            return score;
        }

    private:
        double noise_;
    };
    for (const double noise : {0.0, 400.0}) {
        Parts objective(noise);
        Study start;
        start.model = planted_model(8);
        start.mode  = Mode::per_token_asym;
        const Budget budget{4.5, {}, {}};
        const auto   study = run_allocation(
              start, objective, budget, [](const Study &) { return ok_status(); }, no_progress());
        ASSERT_TRUE(study.ok()) << study.error().message;
        const Guard guard = guard_choice(*study, budget, *choose_plan(*study, budget));
        EXPECT_EQ(guard.n_folds, kParts);
        if (noise == 0) {
            EXPECT_EQ(guard.same_bits, 1.0);
            EXPECT_EQ(guard.same_plan, 1.0);
        } else {
            EXPECT_LT(guard.same_bits, 1.0);
            EXPECT_GT(guard.same_bits, 0.3);
        }
    }
}

}  // namespace
}  // namespace kvt::testing
