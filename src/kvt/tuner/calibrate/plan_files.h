// A plan and the calibration file that it names, written side by side.
#pragma once

#include <string>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

// Writes `path` and, if the plan has transforms, what it uses of its calibration into <path without .json>.safetensors; that
// file is what the written plan names. The calibration comes first, so a plan never names a file that is not there.
Status write_plan_files(PrecisionPlan plan, const std::string & path);

}  // namespace kvt
