// Designs the transform of one KV head from its moments (docs/design/0005-transforms.md).
//
//   keys, dense     whitened keys, rotated so that all channels matter equally to the logits: R = W, then the rotation of a
//                   geometric mean decomposition (Jiang, Hager, Li 2005) of the query metric in that space
//   keys, hadamard  channels divided by the square root of their spread, then a Hadamard matrix
//   values          centered, one scale, a Hadamard matrix; no feedback
// Both kinds of keys come with error feedback for the query metric. Every transform is scaled to unit variance, so that byte
// scales stay in their range.
#pragma once

#include "kvt/quant/transform.h"
#include "kvt/tuner/calibrate/moments.h"

namespace kvt {

// --- Interface ---

HeadTransform design_key_transform(const HeadMoments & k, Rotation rotation, int bits);
HeadTransform design_value_transform(const HeadMoments & v);

// Rotation P^T such that P^T g P = L L^T with L lower triangular and its diagonal constant (the geometric mean of g's
// eigenvalues' roots). g symmetric, positive definite.
Eigen::MatrixXd equal_pivot_rotation(const Eigen::MatrixXd & g);

// Strictly lower triangle of F = L diag(L)^-1 with g = L L^T, as the encoder wants it: [d][row_stride(d)].
std::vector<float> feedback_of(const Eigen::MatrixXd & g);

// What is added to the diagonal of a metric with these eigenvalues so that no direction carries more error than signal at so
// many bits: the fixed point of delta = sigma2(bits) * geometric mean of (eigenvalue + delta).
double regulariser(const Eigen::VectorXd & eigenvalues, int bits);

}  // namespace kvt
