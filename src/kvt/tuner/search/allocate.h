// Stage 3, the default: bits of every K and every V by an exact allocation instead of a sampled search.
//
//   cost[l, side, b] = share[l, side] * curve_side(b)
//   minimize the sum of costs for every total of bytes          (multiple-choice knapsack, knapsack.h)
// The shares say how sensitive a layer is, from increments (2 n_layer evaluations at kProbeBits) less their noise, the curves how
// the error of all layers together falls with bits: measured at 2, 3 and 4 bits with the other side at 8, each bit more quarters
// it, and both sides are scaled to what they cost together in uniform plans. KLD is close to additive over layers, so what
// remains is to score plans of the knapsack's front jointly: some spread over all sizes, and those around the budget until
// neighbours are reached. Measured, with the ratio of joint to summed costs: docs/design/0006-allocation.md. Formats, sizes and
// transforms come from the mode; every number of bits that the codec has is a candidate.
#pragma once

#include "kvt/base/progress.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/front.h"
#include "kvt/tuner/search/study_state.h"

namespace kvt {

// --- Interface ---

inline constexpr int    kProbeBits  = 3;
inline constexpr double kProbeShare = 0.8;

// Upper bound of evaluations.
int max_allocation_evaluations(const ModelInfo & model);

// `start` as for run_search(), without groups. The budget says which part of the front is scored closely.
// With a limit of time, probing stops when kProbeShare of it is used (layers not probed count as average ones), and when it is
// up, the study so far is the result, not complete. Errors: an objective that fails, a study that cannot be saved, "interrupted",
// kNoPlanInTime.
Result<Study> run_allocation(Study start, Objective & objective, const Budget & budget, const SaveStudy & save,
                             Progress & progress, const TimeUsed & time_used = {});

// The plan of the knapsack that takes no more bytes than `pairs`, from the probes that a finished study holds; empty if it lacks
// one.
std::vector<PairBits> allocated_like(const Study & study, const std::vector<PairBits> & pairs);

}  // namespace kvt
