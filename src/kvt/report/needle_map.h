// The needles of all runs as maps: what every plan finds by length of the context and depth of the needle.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvt/report/task_runs.h"

namespace kvt {

// --- Interface ---

struct NeedleCell {
    RetrievalCell         found;        // a step of depth
    std::optional<double> reference;    // the reference's mean there; none for the reference itself
    bool                  informative;  // the reference finds enough for the cell to say something about a plan
};

struct NeedlePlan {
    std::string             name;
    std::vector<NeedleCell> cells;  // by length, then depth
};

struct NeedleMap {
    std::string             task, variant;
    std::vector<NeedlePlan> plans;
};

// Finished records only. Runs of other lengths of one task share a map.
std::vector<NeedleMap> needle_maps(const std::vector<TaskRun> & runs);

Json needle_maps_json(const std::vector<NeedleMap> & maps);

}  // namespace kvt
