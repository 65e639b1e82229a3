// First and second moments of keys, values and queries, per layer and KV head: all that calibration needs of a model.
#pragma once

#include <cstdint>
#include <vector>

#include <Eigen/Dense>

#include "kvt/base/progress.h"
#include "kvt/engine/model_runner.h"

namespace kvt {

// --- Interface ---

struct HeadMoments {
    Eigen::VectorXd mean;     // [d]
    Eigen::MatrixXd spread;   // [d, d] covariance
    Eigen::MatrixXd queries;  // keys only: [d, d] mean of q q^T over tokens and the query heads that share this KV head
};

struct LayerMoments {
    std::vector<HeadMoments> k, v;  // [n_kv_heads]
};

// Runs `tokens` at full precision in short sequences that start at positions spread evenly over 0 .. positions-1, and accumulates
// keys (after RoPE), values and queries of every layer. A transform is only good where it was calibrated: RoPE turns the keys of
// later positions into directions that the first ones never showed (measured: 4-bit dense keys calibrated on the first 512
// positions have 40 times the error at 3000). The first tokens of a sequence, sinks with keys unlike all others, take no part in
// K and V.
// Errors: too few tokens, the engine's, "interrupted".
Result<std::vector<LayerMoments>> measure_moments(ModelRunner & runner, const std::vector<Token> & tokens, int positions,
                                                  int n_threads, Progress & progress);

inline constexpr int kSkippedTokens = 4;

}  // namespace kvt
