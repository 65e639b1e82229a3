// Seeds of the search from isolated scores: what each candidate of each group costs when all other groups keep their best
// pair, added up, and minimized exactly for every number of bits (multiple-choice knapsack by dynamic programming).
//
//   F(x) = sum over groups of max(0, cost[g][x_g])        minimize F for each total of bits        O(n_groups * bits * pairs)
// Layer errors do not add exactly, so these plans only start the search, which scores plans jointly (method.md 6.5).
#pragma once

#include <vector>

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// For every achievable total of bits, ascending, the choice of lowest cost; choices that a cheaper one beats are left out.
//   cost  [n_groups][n_candidates of the group], KLD above the plan in which every group has candidate 0
// The first element is the cheapest plan, the last one costs nothing.
std::vector<std::vector<int>> additive_front(const LayerGroups & groups, const std::vector<std::vector<double>> & cost);

}  // namespace kvt
