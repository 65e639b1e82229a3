// Stage 2: inter-layer clustering (KVTuner section 5; method.md 5).
//
// Layers are partitioned by identical candidate set; inside a partition DBSCAN with eps and min_samples = 2 runs on the
// vector of e_o over the candidate pairs (Euclidean, unnormalized). With min_samples = 2 this is exactly the connected
// components of the graph with edges of length <= eps, so the result does not depend on layer order; noise points become
// groups of one. O(n_layers^2). Groups need not be contiguous in depth.
#pragma once

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

inline constexpr double kClusterEps = 0.05;  // the paper's

enum class Clustering : uint8_t { dbscan, none };

// none: every layer is a group of its own (the paper's ablation).
// Errors: table and candidate sets of different models, modes or layers; eps negative.
Result<LayerGroups> cluster(const SensitivityTable & table, const CandidateSets & sets, double eps = kClusterEps,
                            Clustering clustering = Clustering::dbscan);

// Number of plans that the groups span: the product of their candidate counts (as double: 9^80 overflows integers).
double search_space(const LayerGroups & groups);

}  // namespace kvt
