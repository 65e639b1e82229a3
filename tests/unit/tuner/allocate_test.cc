#include "kvt/tuner/search/allocate.h"

#include <cmath>
#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "planted.h"

namespace kvt::testing {
namespace {

constexpr int    kLayers = 8;
constexpr double kFloor  = 0.003;

double error(int bits) { return bits == 16 ? 0.0 : std::pow(0.25, bits); }

// Additive over layers: K of layer l weighs 1.5^l, V as much as a K in the middle.
template <class Error>
double weighted_kld(const PrecisionPlan & plan, const Error & error_of) {
    double sum = kFloor;
    for (const LayerPlan & layer : plan.layers)
        sum += 0.01 * std::pow(1.5, layer.layer) * error_of(layer.k.bits) + 0.04 * error_of(layer.v.bits);
    return sum;
}

double planted_kld(const PrecisionPlan & plan) { return weighted_kld(plan, error); }

class Planted final : public Objective {
public:
    using Loss = std::function<double(const PrecisionPlan &)>;
    explicit Planted(Loss loss = planted_kld) : loss_(std::move(loss)) {}
    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        EXPECT_TRUE(seen_.insert(write_plan(plan)).second) << "a plan was scored twice";
        if (++calls == fail_at) return Error{"interrupted: planted"};
        calibration = plan.calibration;
        return ObjectiveScore{loss_(plan), NAN, NAN, {}};
    }
    int            calls = 0, fail_at = -1;
    CalibrationRef calibration;

private:
    Loss                  loss_;
    std::set<std::string> seen_;
};

Study start(Mode mode = Mode::rotated) {
    Study study;
    study.model       = planted_model(kLayers);
    study.mode        = mode;
    study.calibration = {".", "c.safetensors", std::string(64, 'c'), 4096};
    return study;
}

const SaveStudy kNoSave = [](const Study &) { return ok_status(); };

Result<Study> allocate(Planted & objective, const Budget & budget, Study from = start(), const SaveStudy & save = kNoSave) {
    return run_allocation(std::move(from), objective, budget, save, no_progress());
}

const Evaluation & chosen(const Study & study, const Budget & budget) {
    return study.evaluations[static_cast<size_t>(choose_plan(study, budget)->evaluation)];
}

TEST(Allocate, MeasuresEveryLayerAndSide) {
    Planted    objective;
    const auto study = allocate(objective, {});
    ASSERT_TRUE(study.ok()) << study.error().message;
    EXPECT_EQ(study->method, kKnapsack);
    EXPECT_TRUE(study->complete);
    EXPECT_EQ(study->floor, kFloor);
    EXPECT_LE(objective.calls, max_allocation_evaluations(study->model));
    EXPECT_EQ(objective.calibration, start().calibration);
    ASSERT_TRUE(study->increments);
    ASSERT_EQ(study->increments->k.size(), size_t{kLayers});
    for (size_t l = 0; l < kLayers; ++l) {
        const double step = error(kProbeBits) - error(8);
        EXPECT_NEAR(study->increments->k[l], 0.01 * std::pow(1.5, l) * step, 1e-12);
        EXPECT_NEAR(study->increments->v[l], 0.04 * step, 1e-12);
    }
}

// A bit of one layer's K given to another's.
void expect_no_exchange_helps(const Study & study, const Evaluation & best, const Planted::Loss & loss) {
    for (size_t up = 0; up < kLayers; ++up) {
        for (size_t down = 0; down < kLayers; ++down) {
            std::vector<PairBits> pairs = best.pairs;
            if (up == down || !is_code_width(++pairs[up].k) || !is_code_width(--pairs[down].k)) continue;
            EXPECT_GE(loss(plan_of(study.model, study.mode, pairs)), best.kld - 1e-6)
                << best.effective_bits << " " << up << " " << down;
        }
    }
}

// On an additive objective the plan for a size is the best of all plans of that size: no exchange of one bit improves it.
TEST(Allocate, PlanForASizeIsTheBest) {
    for (const double bits : {2.6, 3.4, 4.5, 5.9}) {
        Planted      objective;
        const Budget budget{bits, {}, {}};
        const auto   study = allocate(objective, budget);
        ASSERT_TRUE(study.ok());
        const Evaluation & best = chosen(*study, budget);
        EXPECT_LE(best.effective_bits, bits);
        EXPECT_GT(best.effective_bits, bits - 0.1);
        EXPECT_GT(best.pairs.back().k, best.pairs.front().k) << "the sensitive layer got more";
        expect_no_exchange_helps(*study, best, planted_kld);
    }
}

// Where 5 bits are far better than a quarter of 4 bits and 6 hardly better than 5, uniform plans say so, and no layer gets 6.
TEST(Allocate, CurvesFollowUniformPlans) {
    const auto kinked = [](int bits) {
        return bits < 5 || bits == 16 ? error(bits) : error(4) * (bits == 5 ? 0.07 : bits == 6 ? 0.065 : 0.0);
    };
    const auto kld = [&](const PrecisionPlan & plan) { return weighted_kld(plan, kinked); };
    for (const double bits : {4.2, 4.9}) {
        Planted      objective(kld);
        const Budget budget{bits, {}, {}};
        const auto   study = allocate(objective, budget);
        ASSERT_TRUE(study.ok());
        const Evaluation & best = chosen(*study, budget);
        for (const PairBits & pair : best.pairs) EXPECT_LE(std::max(pair.k, pair.v), 5) << bits;
        expect_no_exchange_helps(*study, best, kld);
    }
}

// Costs of time that are not in proportion to bits: 5-bit keys are as fast as 3-bit ones, values hardly gain from fewer bits.
SpeedBudget uneven_costs(double factor) {
    SpeedBudget speed;
    speed.factor        = factor;
    speed.costs.k       = {4e-6, 6e-6, 5e-6, 6e-6, 9e-6, 10e-6};
    speed.costs.v       = {5e-6, 5.5e-6, 5.5e-6, 6e-6, 6.5e-6, 7e-6};
    speed.costs.f16     = 30e-6;
    speed.costs.n_cells = 8192;
    return speed;
}

TEST(Allocate, PlanForASpeedIsTheBest) {
    for (const double factor : {2.0, 2.5, 2.8}) {
        Planted objective;
        Budget  budget;
        budget.speed     = uneven_costs(factor);
        const auto study = allocate(objective, budget);
        ASSERT_TRUE(study.ok());
        EXPECT_LE(objective.calls, max_allocation_evaluations(study->model));
        const Evaluation & best = chosen(*study, budget);
        EXPECT_GE(budget.speed->factor_of(best.pairs), factor);
        // No other pair in one layer with the time that is left, and no exchange between two layers, is better.
        const auto better = [&](const std::vector<PairBits> & pairs) {
            return budget.speed->factor_of(pairs) >= factor &&
                   planted_kld(plan_of(study->model, study->mode, pairs)) < best.kld - 2e-5;
        };
        for (size_t l = 0; l < kLayers; ++l) {
            for (size_t m = 0; m < kLayers; ++m) {
                for (const int k : kCodeWidths) {
                    for (const int other : kCodeWidths) {
                        std::vector<PairBits> pairs = best.pairs;
                        pairs[l].k                  = k;
                        pairs[m].v                  = other;
                        EXPECT_FALSE(better(pairs)) << factor << " " << l << " " << m << " " << k << " " << other;
                    }
                }
            }
        }
    }
}

TEST(Allocate, SpeedAndSizeTogether) {
    Planted objective;
    Budget  budget;
    budget.speed     = uneven_costs(2.4);
    budget.max_bits  = 4.4;
    const auto study = allocate(objective, budget);
    ASSERT_TRUE(study.ok());
    const Evaluation & both = chosen(*study, budget);
    EXPECT_LE(both.effective_bits, 4.4);
    EXPECT_GE(budget.speed->factor_of(both.pairs), 2.4);
    Planted alone;
    Budget  size;
    size.max_bits = 4.4;
    EXPECT_LE(both.kld, 2 * chosen(*allocate(alone, size), size).kld) << "far from what either limit needs";
}

TEST(Allocate, FindsTheSmallestPlanWithinAKld) {
    const Budget budget{{}, kFloor + 0.002, {}};
    Planted      objective;
    const auto   study = allocate(objective, budget);
    ASSERT_TRUE(study.ok());
    const Evaluation & found = chosen(*study, budget);
    EXPECT_LE(found.kld, *budget.max_kld);
    // 0.1 bits less, and the best plan of that size is beyond it.
    const Budget smaller{found.effective_bits - 0.1, {}, {}};
    Planted      other;
    EXPECT_GT(chosen(*allocate(other, smaller), smaller).kld, *budget.max_kld);
}

TEST(Allocate, WithoutABudgetTheLimitIsThreeTimesTheFloor) {
    Planted    objective;
    const auto study = allocate(objective, {});
    ASSERT_TRUE(study.ok());
    EXPECT_LE(chosen(*study, {}).kld, 3 * kFloor);
    EXPECT_GT(chosen(*study, {}).kld, 2.5 * kFloor);
}

TEST(Allocate, BeatsEveryUniformPlanOfAtLeastItsSize) {
    Planted    objective;
    const auto study = allocate(objective, {});
    ASSERT_TRUE(study.ok());
    for (const int i : study->front) {
        const std::string & label = study->evaluations[static_cast<size_t>(i)].label;
        EXPECT_TRUE(label.empty() || label == "KV8") << label << " is on the front of a model with very uneven layers";
    }
}

TEST(Allocate, NoiseNeverMakesALayerFree) {
    class Flat final : public Objective {
    public:
        // Layers 0..6 seem to get better with fewer bits.
        Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
            double sum = kFloor;
            for (const LayerPlan & l : plan.layers) sum += (l.layer == 7 ? 1.0 : -1e-4) * (error(l.k.bits) + error(l.v.bits));
            return ObjectiveScore{sum, NAN, NAN, {}};
        }
    } objective;
    const Budget budget{5.5, {}, {}};
    const auto   study = run_allocation(start(), objective, budget, kNoSave, no_progress());
    ASSERT_TRUE(study.ok());
    EXPECT_GT(chosen(*study, budget).pairs.front().k, 2);
}

// Differences between layers that the noise explains are not acted upon; the layer that stands out is.
TEST(Allocate, LayersWithinTheNoiseAreTreatedAlike) {
    class Noisy final : public Objective {
    public:
        // K of layer 5 is ten times as sensitive; each chunk of text adds its own error to every probe.
        Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
            double sum = kFloor;
            for (const LayerPlan & l : plan.layers)
                sum += (l.layer == 5 ? 10 : 1) * 0.02 * error(l.k.bits) + 0.02 * error(l.v.bits);
            ObjectiveScore score{sum, NAN, NAN, {}};
            for (int chunk = 0; chunk < 3; ++chunk) score.clipped.push_back(sum + 1e-4 * (rng_.uniform() - 0.5));
            return score;
        }

    private:
        SplitMix64 rng_{3};
    } objective;
    const Budget budget{4.3, {}, {}};
    const auto   study = run_allocation(start(), objective, budget, kNoSave, no_progress());
    ASSERT_TRUE(study.ok());
    EXPECT_GT(study->increments->noise, 1e-5);
    EXPECT_LT(study->increments->noise, 4e-5)
        << "uniform over 1e-4, 3 chunks, a difference of two: 1e-4 / sqrt(12) * sqrt(2 / 3)";
    const std::vector<PairBits> & pairs = chosen(*study, budget).pairs;
    for (size_t l = 0; l < kLayers; ++l) {
        if (l != 5) {
            EXPECT_LE(std::abs(pairs[l].k - pairs[0].k), 1) << l;
        }
    }
    EXPECT_GE(pairs[5].k, pairs[0].k + 1);
}

// 15 uniform plans, 16 probes: at 80 % of 24 plans three layers have been probed, and three plans are left.
TEST(Allocate, TimeIsUpGivesAPlanForTheBudget) {
    const Budget budget{4.5, {}, {}};
    Planted      objective;
    const auto   used  = [&objective] { return objective.calls / 24.0; };
    const auto   study = run_allocation(start(), objective, budget, kNoSave, no_progress(), used);
    ASSERT_TRUE(study.ok()) << study.error().message;
    EXPECT_EQ(objective.calls, 24);
    EXPECT_FALSE(study->complete);
    ASSERT_EQ(study->increments->k.size(), size_t{kLayers});
    const std::vector<double> & k = study->increments->k;
    EXPECT_DOUBLE_EQ(k[7], (k[0] + k[1] + k[2]) / 3) << "a layer without a probe counts as an average one";
    EXPECT_LE(chosen(*study, budget).effective_bits, 4.5);
    EXPECT_GT(chosen(*study, budget).effective_bits, 4.3);
    Planted    rest;
    const auto finished = allocate(rest, budget, *study);
    ASSERT_TRUE(finished.ok());
    EXPECT_TRUE(finished->complete);
    EXPECT_LT(chosen(*finished, budget).kld, chosen(*study, budget).kld);
}

// KLD with interactions: neighbouring layers that are both coarse cost more than the sum. All 6^6 plans of 3 layers are compared.
TEST(Allocate, NearTheKnownOptimumInSpiteOfInteractions) {
    constexpr double weight[] = {1.0, 6.0, 0.5};
    const auto       kld_of   = [&](const std::vector<PairBits> & pairs) {
        double sum = kFloor, before = 0;
        for (size_t l = 0; l < pairs.size(); ++l) {
            const double own = 0.02 * weight[l] * error(pairs[l].k) + 0.008 * error(pairs[l].v);
            sum += own + 0.4 * std::sqrt(own * before);
            before = own;
        }
        return sum;
    };
    class Joint final : public Objective {
    public:
        explicit Joint(std::function<double(const std::vector<PairBits> &)> kld) : kld_(std::move(kld)) {}
        Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
            return ObjectiveScore{kld_(pairs_of(plan)), NAN, NAN, {}};
        }

    private:
        std::function<double(const std::vector<PairBits> &)> kld_;
    } objective(kld_of);
    Study small       = start(Mode::per_token_asym);
    small.model       = planted_model(3);
    small.calibration = {};
    const std::vector<int> widths(kCodeWidths.begin(), kCodeWidths.end());
    for (const double bits : {3.0, 4.0, 5.0}) {
        double best = INFINITY;
        for (int code = 0; code < 46656; ++code) {
            std::vector<PairBits> pairs;
            int                   rest = code, sum = 0;
            for (int l = 0; l < 3; ++l, rest /= 36) {
                pairs.push_back({widths[static_cast<size_t>(rest % 6)], widths[static_cast<size_t>(rest / 6 % 6)]});
                sum += pairs.back().k + pairs.back().v;
            }
            if (sum / 6.0 + 0.5 <= bits) best = std::min(best, kld_of(pairs));  // 32 bits of scale and offset for 64 elements
        }
        const Budget budget{bits, {}, {}};
        const auto   study = run_allocation(small, objective, budget, kNoSave, no_progress());
        ASSERT_TRUE(study.ok());
        EXPECT_LE(chosen(*study, budget).effective_bits, bits);
        EXPECT_LE(chosen(*study, budget).kld - kFloor, 1.15 * (best - kFloor)) << bits;
    }
}

TEST(Allocate, ModesWithoutTransformsWorkToo) {
    for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
        Planted objective;
        Study   from     = start(mode);
        from.calibration = {};
        EXPECT_TRUE(allocate(objective, {4.9, {}, {}}, from).ok());
    }
}

TEST(Allocate, ResumesWhereItStopped) {
    Planted           whole;
    const std::string expected = write_record(*allocate(whole, {}));
    for (const int stop : {1, 9, 20, 34}) {
        Study           saved;
        const SaveStudy save = [&saved](const Study & s) {
            saved = s;
            return ok_status();
        };
        Planted first;
        first.fail_at      = stop;
        const auto stopped = allocate(first, {}, start(), save);
        ASSERT_FALSE(stopped.ok());
        EXPECT_THAT(stopped.error().message, ::testing::StartsWith("interrupted"));
        Study again       = start();
        again.evaluations = saved.evaluations;
        again.floor       = saved.floor;
        Planted    second;
        const auto study = allocate(second, {}, again);
        ASSERT_TRUE(study.ok());
        EXPECT_EQ(write_record(*study), expected);
        EXPECT_EQ(second.calls, whole.calls - (stop - 1));
        EXPECT_EQ(write_record(*parse_study(write_record(*study))), expected) << "the record reads back as it was written";
    }
}

}  // namespace
}  // namespace kvt::testing
