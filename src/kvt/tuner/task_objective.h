// A benchmark task as what the search minimizes: how much worse a plan answers than the f16 cache, on the same items.
//
//   accuracy   mean over items of (score of f16's answer - score of the plan's)          share; the paper's objective
//   loglik     mean over items of (ln p_f16 - ln p_plan of the reference answer) / its tokens           nats a token
// Answers are generated greedily, and reference answers read, through the plan's cache from the first token of the prompt on, so
// prefill is quantized as in the paper's stage 3. Every item is a sample of accuracy, one answer in two hundred is half a point;
// every token is one of loglik, which needs far fewer items. Both are paired: an item's own difficulty cancels.
#pragma once

#include <memory>
#include <string>

#include "kvt/harness/prompt.h"
#include "kvt/tasks/task.h"
#include "kvt/tuner/objective_source.h"

namespace kvt {

// --- Interface ---

enum class TaskScore : uint8_t { accuracy, loglik };
const char * task_score_name(TaskScore score);  // "accuracy", "loglik"

struct TaskScoring {
    TaskScore score   = TaskScore::accuracy;
    int       n_slots = 4;  // answers generated side by side
    int       n_batch = 512, n_threads = 0;
};

// Of the first of the task's scores; an answer that could not be given or judged counts as wrong. The task's items must be none
// of a test split: the caller sees to it. Errors: items without reference answers for loglik, an answer of no length, and when it
// is opened, those of the answerer and a reference that gets nothing right.
Result<ObjectiveSource> task_objective(std::shared_ptr<const Task> task, std::shared_ptr<const TaskPrompts> prompts,
                                       const TaskScoring & scoring);

}  // namespace kvt
