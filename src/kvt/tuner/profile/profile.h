// The profiler: runs the model at full precision on prompts, captures Q, K, V, and measures what every pair would do to
// each layer (method.md 2.3). One prompt is in memory at a time; finished prompts are kept, so an interrupt loses one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

struct ProfileOptions {
    Mode   mode       = Mode::kivi;
    int    n_generate = 32;    // decode steps per prompt
    int    max_prompt = 1024;  // tokens; longer prompts are cut
    int    n_threads  = 0;     // 0: all cores
    double eps        = 1e-6;
};

// Where per-prompt results are kept between runs.
struct PromptStore {
    std::function<std::optional<std::vector<LayerErrors>>(int prompt)>       load;
    std::function<Status(int prompt, const std::vector<LayerErrors> & done)> save;
};

// Fills model, mode, eps, counts and layers of the table. Errors: no prompts, an empty prompt, the engine's, "interrupted".
Result<SensitivityTable> run_profile(ModelRunner & runner, const std::vector<std::string> & prompts,
                                     const ProfileOptions & options, const PromptStore & store, Progress & progress);

}  // namespace kvt
