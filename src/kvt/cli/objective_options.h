// Options of the objective that plans are searched by, and the items of a task that a search may see.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tasks/task.h"
#include "kvt/tuner/objective_source.h"
#include "kvt/tuner/pipeline.h"

namespace kvt::cli {

// --- Interface ---

struct ObjectiveOptions {
    std::string name = kKldObjective, score = "accuracy";  // or a task's name; accuracy or loglik
    std::string data;                                      // file of training items; empty: the one that comes with kvtuner
    int         n_items = 0, shots = -1, length = 0, max_new_tokens = 256;  // n_items 0: 200, for loglik 24; shots -1: the task's

    bool on_text() const { return name == kKldObjective; }
    int  items() const { return n_items > 0 ? n_items : score == "accuracy" ? 200 : 24; }
};

void objective_options(CLI::App * app, ObjectiveOptions & o);

// Which of the items to tune on: those searched on, or as many others, for a second opinion.
enum class TuningItems : uint8_t { searched, others };

// Items of the train split, behind the rows that serve as shots and as prompts of the profile, or generated from a seed that no
// evaluation has by default. Errors: a task that has a test split only, and no file of the user's; a file with an item of the
// test split among those asked for; fewer items than asked for.
Result<std::shared_ptr<const Task>> open_tuning_task(const ObjectiveOptions & o, const ModelRunner & model, TuningItems items);

// KLD on `text`, or those items of the task. Errors: those of open_tuning_task and task_objective.
Result<ObjectiveSource> objective_source(const ObjectiveOptions & o, const ScoringText & text, const ModelRunner & model,
                                         Progress & progress, TuningItems items = TuningItems::searched);

// What the chosen plan loses on items that the search has not seen, in a sentence beside what it lost where it was searched: of
// many plans the best is the best by luck too. Says so if there are no other items. Errors: those of scoring.
Result<std::string> second_opinion(const ObjectiveOptions & o, const Study & study, const Choice & choice, int n_threads,
                                   ModelRunner & model, Progress & progress);

}  // namespace kvt::cli
