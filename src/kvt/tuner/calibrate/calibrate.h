// The calibration of a model: transforms of the keys of every layer for every number of bits, and of the values.
#pragma once

#include <vector>

#include "kvt/plan/safetensors.h"
#include "kvt/tuner/calibrate/moments.h"

namespace kvt {

// --- Interface ---

// Tensors as plan/calibration.h names them: "dense<bits>" and "hadamard<bits>" of keys, "hadamard" of values.
Tensors design_transforms(const std::vector<LayerMoments> & moments);

// Only what the layers of a plan use, for a file of its own beside it. Errors: a transform that `all` does not have.
Result<Tensors> tensors_of_plan(const PrecisionPlan & plan, const Tensors & all);

}  // namespace kvt
