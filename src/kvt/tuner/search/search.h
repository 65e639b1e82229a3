// Stage 3: multi-objective search over one precision pair per layer group (KVTuner section 5; method.md 6).
//
//   minimize (KLD, effective bits) over x_g = index into the candidate pairs of group g
// NSGA-II (Deb et al. 2002) or MOEA/D (Li and Zhang 2009), both pagmo2's, O(generations * population^2) bookkeeping beside the
// evaluations. Payload and effective bits of the paper's modes order plans alike: one is a linear function of the other.
// Each soft limit M gives a run of the sampler of its own, in which plans of more than M payload bits rank behind all others,
// smaller excess first; they are kept, and the front is that of all runs together.
// The first population comes from isolated scores of every candidate of every group (additive.h), or from chance. The nine
// uniform pairs and the all-f16 floor are always scored too. Scored plans are never scored again, also across interrupted runs:
// the same seed replays to the same study.
#pragma once

#include "kvt/base/progress.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/objective.h"
#include "kvt/tuner/search/study_state.h"

namespace kvt {

// --- Interface ---

enum class Algorithm : uint8_t { nsga2, moead };
enum class FirstPlans : uint8_t { isolated_scores, chance };

struct SearchOptions {
    int                 population  = 16;  // multiple of 4, at least 8
    int                 generations = 2;   // after the first population
    uint64_t            seed        = 1;
    Algorithm           algorithm   = Algorithm::nsga2;
    FirstPlans          first       = FirstPlans::isolated_scores;
    std::vector<double> soft_limits{};  // payload bits; empty: one run without a limit
};

// Fills the fields of a study that say how it was searched.
void describe_search(const SearchOptions & options, Study & study);

// Generations with which a run proposes about so many plans (repeated ones counted, as Optuna counts trials); at least 1.
int generations_of_trials(int trials, int population);

// Upper bound of evaluations: uniform pairs, floor, isolated scores, and a full population in every generation of every run.
int max_evaluations(const LayerGroups & groups, const SearchOptions & options);

// `start` carries model, mode, groups, data and input hashes, and evaluations to reuse. Its layer groups must cover every
// layer once. Errors: bad options, an objective that fails, a study that cannot be saved, "interrupted".
// When the time is up, the study so far is the result, not complete.
Result<Study> run_search(Study start, Objective & objective, const SearchOptions & options, const SaveStudy & save,
                         Progress & progress, const TimeUsed & time_used = {});

}  // namespace kvt
