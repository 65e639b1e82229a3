// What kvtuner tune left in a folder, read as a whole and checked to belong together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"
#include "kvt/report/bench_record.h"
#include "kvt/report/kld_record.h"
#include "kvt/report/task_runs.h"
#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

struct Results {
    Study                           study;
    std::optional<HeldOutCheck>     held_out;
    std::optional<PrecisionPlan>    plan;         // the chosen one
    std::optional<SensitivityTable> sensitivity;  // of the paper's method, as are the candidates
    std::optional<CandidateSets>    candidates;
    std::optional<BenchRecord>      bench;          // speed, of kvtuner bench
    std::optional<KldRecordView>    positions;      // error by position, of kvtuner eval kld
    std::vector<TaskRun>            tasks;          // of kvtuner eval TASK
    double                          margin = 0.01;  // difference in a task's score up to which plans count as equal
    int                             chosen = -1;    // the evaluation of the study with the chosen plan's bits; -1: none
};

// The study is needed; held_out.json, plan.json, sensitivity.json, candidates.json, bench.json, eval_kld.json and the records of
// tasks are read where they are. Errors: no study, one without plans, a file that is not valid, files of different models, a plan
// that is not the one that was checked.
Result<Results> read_results(const std::string & folder);

// Bits of K and V of every KV layer of the chosen plan: of plan.json, else of held_out.json; empty if there is neither.
std::vector<PairBits> chosen_pairs(const Results & results);

}  // namespace kvt
