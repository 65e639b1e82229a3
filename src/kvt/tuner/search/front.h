// The Pareto front of a study and the choice of one plan on it.
#pragma once

#include <optional>

#include "kvt/tuner/attention_costs.h"
#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// Indices of evaluations that no other beats in (effective bits, KLD), ascending bits; of equal plans the first. The all-f16
// floor ("KV16") takes no part.
std::vector<int> pareto_front(const std::vector<Evaluation> & evaluations);

// What a cache may take in the use it is meant for.
struct MemoryBudget {
    uint64_t bytes     = 0;
    uint64_t n_cells   = 0;  // of one stream
    uint64_t n_streams = 1;
};

// How fast attention of a generated token has to be.
struct SpeedBudget {
    double         factor = 1;  // times that of the f16 cache
    AttentionCosts costs;

    double seconds(size_t n_layers) const { return static_cast<double>(n_layers) * costs.f16 / factor; }
    double factor_of(const std::vector<PairBits> & pairs) const {
        return static_cast<double>(pairs.size()) * costs.f16 / attention_seconds(costs, pairs);
    }
};

struct Budget {
    std::optional<double>       max_bits;  // effective bits at the study's at_tokens
    std::optional<double>       max_kld;   // or another loss, as the study's objective is
    std::optional<MemoryBudget> memory{};
    std::optional<SpeedBudget>  speed{};

    bool limits_size() const { return max_bits || memory; }
    bool limits_plans() const { return limits_size() || speed; }
};

// Whether a plan of so many effective bits keeps within the budget's limits of size and time.
bool fits(const Study & study, const std::vector<PairBits> & pairs, double effective_bits, const Budget & budget);

// Errors: even 2 bits everywhere are too large for the budget's limits of size, or no formats are fast enough; the message says
// what the smallest or fastest take.
Status check_feasible(const ModelInfo & model, Mode mode, const Budget & budget);

// "Nearly lossless" without a budget: KLD at most this many times the noise floor, or on a task a loss of at most a point, or
// 0.01 nats a token.
inline constexpr double kNearlyLossless = 3.0, kSmallLoss = 0.01;
double                  nearly_lossless(const Study & study);

// The paper's rule: the plan of the lowest KLD among those of at most so many payload bits; ties to fewer bits. Errors: none has.
Result<Choice> choose_within_payload(const Study & study, double payload_bits);

// With a limit of size or time: the lowest KLD within it. With max_kld: the fewest bits within it. With both: the fewest bits
// that meet both. With a limit of time the choice is among all plans that meet it, not only among those of the front. With
// neither: the fewest bits that are nearly lossless, else the lowest KLD. Errors: nothing meets the budget; the message says what
// the study can offer.
Result<Choice> choose_plan(const Study & study, const Budget & budget);

}  // namespace kvt
