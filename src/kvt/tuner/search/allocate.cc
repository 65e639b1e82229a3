#include "kvt/tuner/search/allocate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "kvt/base/stats.h"
#include "kvt/tuner/search/knapsack.h"

namespace kvt {

namespace {

constexpr int kSpread     = 8;  // plans of the front scored over all sizes up to 6 bits
constexpr int kBisections = 6;  // and around the budget
// Uniform plans that every study holds: the floor, the base, what a user would pick by hand, and those that the curves need.
constexpr PairBits kUniform[] = {{16, 16}, {8, 8}, {6, 6}, {6, 4}, {5, 5}, {5, 4}, {4, 4}, {4, 3},
                                 {3, 3},   {4, 8}, {3, 8}, {2, 8}, {8, 4}, {8, 3}, {8, 2}};
// An increment below this share of the mean is noise: such layers would be given 2 bits because chance made them look free.
constexpr double kLeastShare = 0.1;

Status score_uniform(StudyState & state) {
    std::vector<WantedPlan> plans;
    for (const PairBits & pair : kUniform) plans.push_back({state.uniform(pair), {}, pair_name(pair.k, pair.v)});
    KVT_CHECK_OK(state.evaluate_all(plans));
    return ok_status();
}

// A probe against the base: by chunk where both know their chunks, else one figure.
std::vector<double> differences(const Evaluation & probe, const Evaluation & base) {
    if (probe.clipped.empty() || probe.clipped.size() != base.clipped.size()) return {probe.kld - base.kld};
    std::vector<double> out;
    for (size_t c = 0; c < base.clipped.size(); ++c) out.push_back(probe.clipped[c] - base.clipped[c]);
    return out;
}

Status measure_increments(StudyState & state) {
    KVT_TRY(const int base, state.evaluate({state.uniform({8, 8}), {}, "KV8"}));
    const auto              n_layer = static_cast<size_t>(state.study().model.n_layer);
    std::vector<WantedPlan> probes;  // K, V of every layer
    for (size_t l = 0; l < n_layer; ++l) {
        for (const Side side : {Side::key, Side::value}) {
            probes.push_back({state.uniform({8, 8})});
            PairBits & pair                       = probes.back().pairs[l];
            (side == Side::key ? pair.k : pair.v) = kProbeBits;
        }
    }
    KVT_TRY(const std::vector<int> probed, state.evaluate_all(probes, kProbeShare));
    Increments found{kProbeBits, {}, {}};
    double     squares = 0, freedom = 0, n_chunks = 1;
    for (size_t i = 0; i < probed.size(); ++i) {
        const std::vector<double> by_chunk = differences(state.at(probed[i]), state.at(base));
        const double              average  = mean(by_chunk);
        for (const double d : by_chunk) squares += (d - average) * (d - average);
        n_chunks = static_cast<double>(by_chunk.size());
        freedom += n_chunks - 1;
        (i % 2 == 0 ? found.k : found.v).push_back(average);
    }
    for (std::vector<double> * side : {&found.k, &found.v}) side->resize(n_layer, mean(*side));
    if (freedom > 0) found.noise = std::sqrt(squares / freedom / n_chunks);
    state.study().increments = std::move(found);
    return ok_status();
}

double kld_of(const Study & study, PairBits pair) {
    for (const Evaluation & e : study.evaluations) {
        if (e.label == pair_name(pair.k, pair.v)) return e.kld;
    }
    return std::numeric_limits<double>::quiet_NaN();
}

using Curve = std::array<double, kCodeWidths.size()>;

// KLD above that of all 8 bits of one side at so many bits in all layers, by kCodeWidths; falls strictly.
Curve curve_alone(const Study & study, Side side) {
    const double base = kld_of(study, {8, 8});
    const auto above  = [&](int bits) { return kld_of(study, side == Side::key ? PairBits{bits, 8} : PairBits{8, bits}) - base; };
    // Noise must not make fewer bits look as good as more.
    const double four = std::max(above(4), 1e-9), three = std::max(above(3), 2.0 * four), two = std::max(above(2), 2.0 * three);
    // Each bit more quarters the variance of the rounding error (measured: 0.0112, 0.0028, 0.0007 nats at 4, 5, 6 bits).
    return {two, three, four, four / 4, four / 16, four / 256};
}

// The same of K and V, corrected by what both cost together at so many bits by the sum of what each costs alone (SmolLM2, 1536
// tokens: 1.0, 0.9, 1.1, 1.4 at 3, 4, 5, 6 bits; Qwen2.5-Coder-0.5B, 512: 1.1, 1.0, 0.8, 1.4): interactions, and at 5 and 6 what
// the extrapolation is off by. 2 and 8 bits take the factor of their neighbour.
std::pair<Curve, Curve> curves_of(const Study & study) {
    Curve        k = curve_alone(study, Side::key), v = curve_alone(study, Side::value);
    const double base = kld_of(study, {8, 8});
    Curve        together;
    together.fill(1.0);
    for (size_t i = 1; i + 1 < kCodeWidths.size(); ++i) {
        const double measured = (kld_of(study, {kCodeWidths[i], kCodeWidths[i]}) - base) / (k[i] + v[i]);
        together[i]           = std::isfinite(measured) ? std::clamp(measured, 0.25, 4.0) : 1.0;
    }
    together.front() = together[1];
    together.back()  = together[kCodeWidths.size() - 2];
    for (Curve * curve : {&k, &v}) {
        for (size_t i = 0; i < curve->size(); ++i) (*curve)[i] *= together[i];
        // Scaled by factors that are noisy themselves, a curve may rise.
        for (size_t i = curve->size() - 1; i-- > 0;) (*curve)[i] = std::max((*curve)[i], 1.5 * (*curve)[i + 1]);
    }
    return {k, v};
}

// Shares of the layers in what one side costs; they sum to 1. A layer that differs from the mean by no more than the noise is
// taken for an average one; what stands out keeps all but noise^2 of its distance (the non-negative garrote, Breiman 1995).
std::vector<double> shares_of(std::vector<double> increments, double noise) {
    const double average = mean(increments);
    for (double & i : increments) {
        const double distance = i - average;
        const double kept     = distance == 0.0 ? 0.0 : std::max(0.0, 1.0 - noise * noise / (distance * distance));
        i                     = std::max(average + kept * distance, kLeastShare * std::max(average, 1e-9));
    }
    const double sum = std::accumulate(increments.begin(), increments.end(), 0.0);
    for (double & i : increments) i /= sum;
    return increments;
}

// K of all layers, then V of all layers; choices by kCodeWidths.
std::vector<KnapsackItem> items_of(const Study & study) {
    std::vector<KnapsackItem> items;
    const auto [curve_k, curve_v] = curves_of(study);
    for (const Side side : {Side::key, Side::value}) {
        const Curve & curve = side == Side::key ? curve_k : curve_v;
        const int     dim   = side == Side::key ? study.model.head_dim_k : study.model.head_dim_v;
        for (const double share :
             shares_of(side == Side::key ? study.increments->k : study.increments->v, study.increments->noise)) {
            KnapsackItem item;
            for (size_t i = 0; i < kCodeWidths.size(); ++i) {
                const Format f = mode_format(study.mode, side, kCodeWidths[i], dim);
                item.bytes.push_back(
                    tensor_bytes(f, side, study.model.n_kv_heads, dim, static_cast<uint64_t>(study.at_tokens), 1, {}));
                item.cost.push_back(share * curve[i]);
            }
            items.push_back(std::move(item));
        }
    }
    return items;
}

std::vector<PairBits> pairs_at(const Knapsack & front, size_t i) {
    const std::vector<int> chosen = front.choices(i);
    std::vector<PairBits>  pairs;
    for (size_t l = 0; l < chosen.size() / 2; ++l) {
        pairs.push_back(
            {kCodeWidths[static_cast<size_t>(chosen[l])], kCodeWidths[static_cast<size_t>(chosen[l + chosen.size() / 2])]});
    }
    return pairs;
}

// The last point of the front with at most so many bytes; the first one if there is none.
size_t point_within(const Knapsack & front, uint64_t bytes) {
    size_t low = 0, high = front.size();
    while (high - low > 1) {
        const size_t middle                         = (low + high) / 2;
        (front.bytes(middle) <= bytes ? low : high) = middle;
    }
    return low;
}

uint64_t uniform_bytes(const std::vector<KnapsackItem> & items, size_t candidate) {
    uint64_t sum = 0;
    for (const KnapsackItem & item : items) sum += item.bytes[candidate];
    return sum;
}

// Scores the front where it crosses `max_kld`: halves the stretch between a plan that is too far off and one that is not.
Status score_crossing(StudyState & state, const Knapsack & front, double max_kld) {
    size_t low = 0, high = front.size() - 1;
    for (int round = 0; round < kBisections && high - low > 1; ++round) {
        // By bytes, not by index: the front is far denser where plans are mixed.
        const size_t middle = std::clamp(point_within(front, (front.bytes(low) + front.bytes(high)) / 2), low + 1, high - 1);
        KVT_TRY(const int index, state.evaluate({pairs_at(front, middle)}));
        (state.at(index).kld <= max_kld ? high : low) = middle;
    }
    return ok_status();
}

bool fits_budget(const Study & study, const std::vector<PairBits> & pairs, const Budget & budget) {
    const PrecisionPlan plan = plan_of(study, pairs);
    return fits(study, pairs, plan_size(plan, static_cast<uint64_t>(study.at_tokens)).effective_bits, budget);
}

// The best plan within the limits of size. The knapsack counts tiles only; sinks and open blocks take the rest.
Status score_size(StudyState & state, const Knapsack & front, const Budget & budget) {
    size_t low = 0, high = front.size();
    while (high - low > 1) {
        const size_t middle                                                        = (low + high) / 2;
        (fits_budget(state.study(), pairs_at(front, middle), budget) ? low : high) = middle;
    }
    KVT_CHECK_OK(state.evaluate({pairs_at(front, low)}));
    return ok_status();
}

// The same choices with a share of their time and the rest of their bytes as size, both in kSteps of what is between the least
// and the most. Rounded up: what fits in steps fits in seconds.
std::vector<KnapsackItem> timed_items(const std::vector<KnapsackItem> & items, const AttentionCosts & costs, double time_share) {
    constexpr double kSteps  = 4096;
    const auto       seconds = [&](size_t item) -> const auto & { return item < items.size() / 2 ? costs.k : costs.v; };
    const auto       range   = [](const auto & x) {
        const auto [least, most] = std::minmax_element(x.begin(), x.end());
        return static_cast<double>(*most) - static_cast<double>(*least);
    };
    double all_seconds = 0, all_bytes = 0;
    for (size_t i = 0; i < items.size(); ++i) {
        all_seconds += range(seconds(i));
        all_bytes += range(items[i].bytes);
    }
    std::vector<KnapsackItem> timed = items;
    for (size_t i = 0; i < timed.size(); ++i) {
        const double least_seconds = *std::min_element(seconds(i).begin(), seconds(i).end());
        const auto   least_bytes   = static_cast<double>(*std::min_element(items[i].bytes.begin(), items[i].bytes.end()));
        for (size_t c = 0; c < timed[i].bytes.size(); ++c) {
            const double part =
                time_share * (seconds(i)[c] - least_seconds) / std::max(all_seconds, 1e-30) +
                (1 - time_share) * (static_cast<double>(items[i].bytes[c]) - least_bytes) / std::max(all_bytes, 1.0);
            timed[i].bytes[c] = static_cast<uint64_t>(std::ceil(kSteps * part));
        }
    }
    return timed;
}

// The best plan that is fast enough, and small enough if that is asked for too: of the knapsacks in time, in bytes and between,
// the cheapest plan that fits (a surrogate relaxation: each has one size, a weighted sum of both).
Status score_speed(StudyState & state, const std::vector<KnapsackItem> & items, const Budget & budget) {
    const AttentionCosts & costs = budget.speed->costs;
    const Knapsack         by_time(timed_items(items, costs, 1.0));
    if (budget.max_kld) KVT_CHECK_OK(score_crossing(state, by_time, *budget.max_kld));
    std::vector<PairBits> best;
    double                least = std::numeric_limits<double>::infinity();
    for (const double share : budget.limits_size() ? std::vector<double>{1.0, 0.75, 0.5, 0.25, 0.0} : std::vector<double>{1.0}) {
        const Knapsack front(timed_items(items, costs, share));
        for (size_t i = front.size(); i-- > 0 && front.cost(i) < least;) {
            const std::vector<PairBits> pairs = pairs_at(front, i);
            if (!fits_budget(state.study(), pairs, budget)) continue;
            least = front.cost(i);
            best  = pairs;
        }
    }
    if (!best.empty()) KVT_CHECK_OK(state.evaluate({best}));
    return ok_status();
}

Status allocate(StudyState & state, const Budget & budget) {
    KVT_CHECK_OK(score_uniform(state));
    KVT_CHECK_OK(measure_increments(state));
    const std::vector<KnapsackItem> items = items_of(state.study());
    const Knapsack                  front(items);
    const uint64_t                  most = uniform_bytes(items, 4), least = front.bytes(0);
    // What was asked for comes first: the time may end.
    if (budget.speed) KVT_CHECK_OK(score_speed(state, items, budget));
    if (budget.limits_size() && !budget.speed) KVT_CHECK_OK(score_size(state, front, budget));
    if (!budget.speed && (budget.max_kld || !budget.limits_size()))
        KVT_CHECK_OK(score_crossing(state, front, budget.max_kld.value_or(nearly_lossless(state.study()))));
    std::vector<WantedPlan> spread;
    for (int i = 1; i <= kSpread; ++i) {
        const uint64_t bytes = least + (most - least) * static_cast<uint64_t>(i) / kSpread;
        spread.push_back({pairs_at(front, point_within(front, bytes))});
    }
    KVT_CHECK_OK(state.evaluate_all(spread));
    return ok_status();
}

}  // namespace

std::vector<PairBits> allocated_like(const Study & study, const std::vector<PairBits> & pairs) {
    class Nothing final : public Objective {
    public:
        Result<ObjectiveScore> score(const PrecisionPlan &) override { return Error{"not scored again"}; }
    } nothing;
    const SaveStudy save = [](const Study &) { return ok_status(); };
    StudyState      state(study, nothing, save, no_progress());
    if (!measure_increments(state).ok()) return {};
    const std::vector<KnapsackItem> items = items_of(state.study());
    uint64_t                        bytes = 0;
    for (size_t l = 0; l < pairs.size(); ++l) {
        const auto of = [](const KnapsackItem & item, int bits) {
            const auto at = std::find(kCodeWidths.begin(), kCodeWidths.end(), bits);
            return at == kCodeWidths.end() ? item.bytes.back() : item.bytes[static_cast<size_t>(at - kCodeWidths.begin())];
        };
        bytes += of(items[l], pairs[l].k) + of(items[l + pairs.size()], pairs[l].v);
    }
    const Knapsack front(items);
    return pairs_at(front, point_within(front, bytes));
}

int max_allocation_evaluations(const ModelInfo & model) {
    return static_cast<int>(std::size(kUniform)) + 2 * model.n_layer + kSpread + kBisections + 1;
}

Result<Study> run_allocation(Study start, Objective & objective, const Budget & budget, const SaveStudy & save,
                             Progress & progress, const TimeUsed & time_used) {
    start.method   = kKnapsack;
    start.complete = false;
    StudyState state(std::move(start), objective, save, progress, time_used);
    progress.begin("search", max_allocation_evaluations(state.study().model));
    const Status done = allocate(state, budget);
    progress.end();
    if (!done.ok()) return state.ended_by(done.error());
    state.study().complete = true;
    state.study().front    = pareto_front(state.study().evaluations);
    KVT_CHECK_OK(save(state.study()));
    return std::move(state.study());
}

}  // namespace kvt
