// The Pareto front of a study and the choice of one plan on it.
#pragma once

#include <optional>

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

struct Budget {
    std::optional<double>       max_bits;  // effective bits at the study's at_tokens
    std::optional<double>       max_kld;
    std::optional<MemoryBudget> memory{};

    bool limits_size() const { return max_bits || memory; }
};

// Whether a plan of so many effective bits keeps within the budget's limits of size.
bool fits_size(const Study & study, const std::vector<PairBits> & pairs, double effective_bits, const Budget & budget);

// Errors: even 2 bits everywhere are too large for the budget's limits of size; the message says what they take.
Status check_feasible(const ModelInfo & model, Mode mode, const Budget & budget);

// "Nearly lossless" without a budget: KLD at most this many times the noise floor.
inline constexpr double kNearlyLossless = 3.0;

// The paper's rule: the plan of the lowest KLD among those of at most so many payload bits; ties to fewer bits. Errors: none has.
Result<Choice> choose_within_payload(const Study & study, double payload_bits);

// With a limit of size: the lowest KLD within it. With max_kld: the fewest bits within it. With both: the fewest bits that meet
// both. With neither: the fewest bits whose KLD is within kNearlyLossless times the floor, else the lowest KLD. Errors: nothing
// meets the budget; the message says what the study can offer.
Result<Choice> choose_plan(const Study & study, const Budget & budget);

}  // namespace kvt
