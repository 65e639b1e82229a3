// The stages in order, each writing its artefact to a file and skipping itself when the file was made from equal inputs; the
// searches' is a study in SQLite that grows by every plan scored (study_store.h).
// The only place that sees all stages, and where evaluation becomes the search's objective.
//
// Every artefact carries inputs_sha256, a hash of everything its values depend on. A file made from other inputs is not
// overwritten unless Redo::yes: the message says which file and what to do.
#pragma once

#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/crew/crew.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tuner/objective_source.h"
#include "kvt/tuner/profile/profile.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/allocate.h"
#include "kvt/tuner/search/front.h"
#include "kvt/tuner/search/search.h"

namespace kvt {

// --- Interface ---

enum class Redo : uint8_t { no, yes };

struct ProfileStage {
    std::vector<std::string> prompts;
    ProfileOptions           options;
};

// Per-prompt results wait in the folder `<path>.parts` until the table is complete.
Result<SensitivityTable> profile_stage(ModelRunner & runner, const ProfileStage & stage, const std::string & path, Redo redo,
                                       Progress & progress);

struct CalibrateStage {
    std::string text;
    int         max_tokens = 8192;  // taken from the end of the text: searches use its beginning
    int         positions  = 0;     // 0: the context the model was trained for, at most 32768
    int         n_threads  = 0;
};

// The transforms of every layer (tuner/calibrate), as a safetensors file.
Result<CalibrationRef> calibrate_stage(ModelRunner & runner, const CalibrateStage & stage, const std::string & path, Redo redo,
                                       Progress & progress);

// What a search may use.
struct SearchMeans {
    TimeUsed time_used{};
    Crew *   crew = nullptr;  // whose workers score plans; null: this process alone. All see the folder of the study.
};

// A text to measure KLD on.
struct ScoringText {
    std::string text;
    int         chunk_tokens = 512, max_chunks = 4;
    int         n_threads = 0;
};

// Forward KLD of next-token distributions from the f16 cache's on that text.
ObjectiveSource kld_objective(const ScoringText & text);

// Resumes an unfinished study of equal inputs: plans scored before are not scored again. While it runs, other processes may read
// the study and are refused to write it. When the time is up, the study so far is returned.
Result<Study> search_stage(ModelRunner & runner, const LayerGroups & groups, const ObjectiveSource & objective,
                           const SearchOptions & options, const std::string & path, Redo redo, Progress & progress,
                           const SearchMeans & means = {});

// The same by allocation (search/allocate.h), without groups.   calibration  of the mode's transforms, empty if it has none
Result<Study> allocation_stage(ModelRunner & runner, Mode mode, const CalibrationRef & calibration,
                               const ObjectiveSource & objective, const Budget & budget, const std::string & path, Redo redo,
                               Progress & progress, const SearchMeans & means = {});

// Another process of the crew: scores plans for the search of the coordinator, on the same model and by the same objective, until
// that is over.
Status work_stage(ModelRunner & runner, const ObjectiveSource & objective, Crew & crew);

// The chosen plan and its rivals on text that the search did not see: uniform plans of the study's mode, and what KIVI offers.
Result<HeldOutCheck> check_stage(ModelRunner & runner, const Study & study, const Choice & choice, const ScoringText & text,
                                 const std::string & path, Redo redo, Progress & progress);

// The chosen evaluation as a plan that says how it was searched.
PrecisionPlan searched_plan(const Study & study, const Choice & choice, const std::string & tool_version);

// The plan file's content: the same with what was measured on held-out text.
//   profile_sha256  of the prompts of the profile; empty: there was none
PrecisionPlan finished_plan(const Study & study, const Choice & choice, const HeldOutCheck & check,
                            const std::string & profile_sha256, const std::string & tool_version);

}  // namespace kvt
