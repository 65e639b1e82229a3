// Measures what attention of one generated token costs on this machine in every format of a mode: the plugin's kernels on cells
// of the context's length, all threads at work, more memory than the caches of the processor hold.
//
// K and V are measured on their own, at each number of bits with the other side at 8, and added up; worst_sum says how far sums
// are from pairs measured together. Rotating queries and outputs is not in it: it does not grow with the context.
#pragma once

#include <functional>

#include "kvt/base/progress.h"
#include "kvt/tuner/attention_costs.h"

namespace kvt {

// --- Interface ---

struct SpeedShape {
    ModelInfo model;
    Mode      mode      = Mode::rotated;
    int       n_q_heads = 0, n_cells = 0, n_threads = 1;
};

// The inputs of a measurement, without its figures: to tell whether a stored one is of this machine's ISA, this model and
// context. Errors: KVT_FORCE_ISA names an ISA that cannot be had.
Result<AttentionCosts> speed_inputs(const SpeedShape & shape);

// Takes a few seconds. `seconds` is the clock. Errors: those of speed_inputs, no memory, "interrupted".
Result<AttentionCosts> measure_attention(const SpeedShape & shape, Progress & progress, const std::function<double()> & seconds);

}  // namespace kvt
