// Two records of the same items held against each other: paired tests, and the items where the verdicts differ.
#pragma once

#include <string>
#include <vector>

#include "kvt/harness/record.h"
#include "kvt/harness/score_stats.h"

namespace kvt {

// --- Interface ---

// The plan of a record, or "server " and the model that it named.
std::string run_name(const TaskRecord & record);

// "gsm8k text: 100 items, 1 sample each, at most 1024 new tokens, seed 0".
std::string settings_text(const TaskRecord & record);

// Whether two records ask the same of a model, as far as their headers say: task, data, settings, prompts.
bool same_questions(const TaskRecord & first, const TaskRecord & second);

struct ScoreDifference {
    std::string name;
    MeanScore   first, second;
    PairedScore paired;
};

// An answer whose headline score differs.
struct Flip {
    const ItemLine * first       = nullptr;  // into the records
    const ItemLine * second      = nullptr;
    double           first_score = 0, second_score = 0;
};

struct RunComparison {
    std::string first, second;  // names of the plans
    int         n_answers = 0;
    int         n_texts = 0, n_same_text = 0;  // answers whose words both records hold, and of those the equal ones
    std::vector<ScoreDifference> scores;
    std::vector<Flip>            flips;  // in the order of the first record
};

// `first` is the reference. Both must outlive the result. Errors: the records differ in task, data, sampling, seed, items,
// samples or prompts (the first difference is named); one of them is unfinished.
Result<RunComparison> compare_records(const TaskRecord & first, const TaskRecord & second);

// `margin` is the difference in score, 0.01 for one point, up to which the runs are to count as equal.
Json to_json(const ScoreDifference & difference, double margin);
Json to_json(const RunComparison & comparison, double margin);

}  // namespace kvt
