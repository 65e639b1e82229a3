// What a user may give as a plan: a file, or a short form when the model is known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/eval/kld.h"
#include "kvt/plan/plan.h"

namespace kvt::cli {

// --- Interface ---

enum class Force : uint8_t { no, yes };  // yes: a plan made for another file of the same shape is used

// What a plan must know of the model at `path`; nothing for an empty path. Errors: those of read_model_info.
Result<std::optional<ModelInfo>> model_if_given(const std::string & path);

// `calibration`: path of the file that a short form of mode rotated uses, empty if the user gave none; nullopt where the plan's
// numbers are not needed (sizes).
// Errors: those of the reader; a short form without a model; with a model, a plan that is not for it.
Result<PrecisionPlan> load_plan_argument(const std::string & text, const std::optional<ModelInfo> & model, Force force,
                                         const std::optional<std::string> & calibration = std::nullopt);

// Plans as a command line names them.
struct PlanArguments {
    std::vector<std::string> texts;
    std::string              calibration;
    bool                     force = false;
};
// All of them, for one model. Errors: those of load_plan_argument.
Result<std::vector<NamedPlan>> load_plan_arguments(const PlanArguments & arguments, const ModelInfo & model);

}  // namespace kvt::cli
