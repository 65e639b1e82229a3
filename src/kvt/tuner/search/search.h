// Stage 3: multi-objective search over one precision pair per layer group (KVTuner section 5; method.md 6).
//
//   minimize (KLD, effective bits) over x_g = index into the candidate pairs of group g
// NSGA-II (Deb et al. 2002; pagmo2's implementation), O(generations * population^2) bookkeeping beside the evaluations.
// The first population comes from isolated scores of every candidate of every group (additive.h). The nine uniform pairs and
// the all-f16 floor are always scored too. Scored plans are never scored again, also across
// interrupted runs: the same seed replays to the same study.
#pragma once

#include "kvt/base/progress.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/objective.h"
#include "kvt/tuner/search/study_state.h"

namespace kvt {

// --- Interface ---

struct SearchOptions {
    int      population  = 16;  // multiple of 4, at least 8
    int      generations = 2;
    uint64_t seed        = 1;
};

// Upper bound of evaluations: uniform pairs, floor, isolated scores, and a full population in every generation.
int max_evaluations(const LayerGroups & groups, const SearchOptions & options);

// `start` carries model, mode, groups, data and input hashes, and evaluations to reuse. Its layer groups must cover every
// layer once. Errors: bad options, an objective that fails, a study that cannot be saved, "interrupted".
Result<Study> run_search(Study start, Objective & objective, const SearchOptions & options, const SaveStudy & save,
                         Progress & progress);

}  // namespace kvt
