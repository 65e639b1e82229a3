// Stage 1: intra-layer pruning of precision pairs (KVTuner section 5; method.md 4).
//
//   p is removed  iff  some q has  bits(q) <= bits(p)  and  e_o(q) <= e_o(p)  with at least one strict
//   exact tie in both: the pair with more key bits stays
// Pure, O(81) per layer.
#pragma once

#include <array>
#include <vector>

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// Indices into kPairs that survive for one layer's e_o, ascending. Never empty. NaN errors never survive unless all are NaN.
std::vector<int> pareto_pairs(const std::array<double, 9> & e_o);

enum class Pruning : uint8_t { pareto, none };

// none: every layer keeps the nine pairs (the paper's ablation).
CandidateSets prune(const SensitivityTable & table, Pruning pruning = Pruning::pareto);

}  // namespace kvt
