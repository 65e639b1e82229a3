// The best fit of a list of layers to three runs: first layers, middle, last layers, each of one type.
#pragma once

#include <vector>

namespace kvt::recipes {

// --- Interface ---

struct Runs {
    int    first = 0, last = 0;                             // lengths of the outer runs
    int    first_need = 0, middle_need = 0, last_need = 0;  // the largest need inside
    double cost = 0;                                        // sum of stored[need of its run] over layers
};

// need[i]: index into `stored` (ascending), or -1 for a layer that stores nothing and may take any type. No layer gets less than
// its need; the cost is the smallest possible; of equals the one with fewest layers in the outer runs, then in the last.
Runs fit_three_runs(const std::vector<int> & need, const std::vector<double> & stored);

}  // namespace kvt::recipes
