// What the plans of a study are scored by, before the model has been asked anything: a text, or a benchmark task.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kvt/base/progress.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tuner/search/objective.h"

namespace kvt {

// --- Interface ---

struct OpenObjective {
    std::unique_ptr<Objective> objective;
    int                        n_parts = 0;  // chunks of a text, items of a task
};

// What scoring one plan takes, and the reference keeps.
struct PlanCost {
    int64_t  prompt_tokens   = 0;  // decoded in batches
    int64_t  steps           = 0;  // that generate, of all slots together, at most
    uint64_t reference_bytes = 0;
};

// Scoring costs nothing until `open` is called, which runs the f16 reference; a finished study needs none.
struct ObjectiveSource {
    std::string name;              // Study::objective
    std::string data_sha256;       // of the text, or of the task's data
    std::string settings;          // all else that scores depend on, beside the model and the plan
    int         chunk_tokens = 0;  // of a text; 0: a task

    std::function<Result<OpenObjective>(ModelRunner &, Progress &)> open;
    std::function<Result<PlanCost>(const ModelRunner &)>            cost;
};

}  // namespace kvt
