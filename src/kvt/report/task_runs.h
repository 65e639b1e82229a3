// What the report shows of benchmarks: the records of kvtuner eval TASK, those of the same questions side by side.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/harness/compare.h"
#include "kvt/harness/retrieval_map.h"
#include "kvt/harness/summary.h"

namespace kvt {

// --- Interface ---

// An answer whose headline score is another than the reference's. Texts are one short line each.
struct ChangedAnswer {
    std::string                item;
    int                        sample = 0;
    std::optional<std::string> gold, reference, answer;  // none where the task's texts are private
    double                     reference_score = 0, score = 0;
};

// One record.
struct TaskPlan {
    std::string                  name, file;      // file: in the report's folder
    std::optional<double>        effective_bits;  // none: a server
    bool                         complete = false;
    RunSummary                   summary;  // of the answers so far; of several per item the scores also hold "flexible pass@4"
    std::vector<ScoreDifference> differences;  // to the reference; none for itself and while one of the two is unfinished
    std::vector<ChangedAnswer>   changed;
    std::vector<RetrievalCell>   cells;  // in ten steps of depth; none where there are no single needles
};

struct TaskRun {
    std::string              task, variant, settings;
    int                      n_items      = 0;
    bool                     private_text = false;  // nothing of questions and answers may be shown
    std::vector<std::string> warnings;
    std::vector<TaskPlan>    plans;  // the reference first: the stock f16 cache, else the one that was begun first
};

// The records in `folder` and in the folders inside it, by path; JSON lines of other kinds are passed over. Errors: those of
// read_task_record.
Result<std::vector<TaskRecord>> read_task_records(const std::string & folder);

// By task and variant. Errors: those of compare_records.
Result<std::vector<TaskRun>> task_runs(const std::vector<TaskRecord> & records, const std::string & folder);

// "gsm8k text"
std::string task_title(const std::string & task, const std::string & variant);

// Whether a plan was held against a reference anywhere.
bool compared(const std::vector<TaskRun> & runs);

// The plan's difference in the score `name`; null if it was not compared.
const ScoreDifference * difference_of(const TaskPlan & plan, const std::string & name);

// `margin` is the difference in score up to which plans count as equal to the reference, 0.01 for one point.
Json task_runs_json(const std::vector<TaskRun> & runs, double margin);

}  // namespace kvt
