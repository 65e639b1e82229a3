// What is done to a row (one token, one KV head) before it is quantized, and undone on queries and outputs at no loss:
//
//   y = R (scale * (x - center))       R: nothing, a Hadamard matrix, or a dense matrix
//   keys    q . x = (A q) . y + q . center with A = inverse transpose of (R diag(scale)); softmax ignores q . center
//   values  sum_t w_t x_t = B (sum_t w_t y_t) + center * sum_t w_t     with B = inverse of (R diag(scale))
// The Hadamard matrix is Sylvester's, normalised, of the largest power of two that divides head_dim, repeated along the
// diagonal; it is its own inverse. Calibrated by the tuner (docs/design/0005-transforms.md); the stored bytes only depend on y.
#pragma once

#include <cstddef>
#include <vector>

#include "kvt/base/fp16.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

enum class Rotation : uint8_t { none, hadamard, dense };

// The transform of one KV head. Empty vectors: nothing is done.
struct HeadTransform {
    Rotation           rotation = Rotation::none;
    std::vector<float> center;    // [head_dim]
    std::vector<float> scale;     // [head_dim], none 0; not with a dense rotation
    std::vector<float> matrix;    // [head_dim][head_dim], row i gives y[i]; dense rotation only
    std::vector<float> feedback;  // [head_dim][stride] for the encoder (codec.h), stride = head_dim rounded up to 16
};

// Size of the Hadamard matrices along the diagonal.
constexpr int hadamard_block(int head_dim) { return head_dim & -head_dim; }

// Floats between the rows of feedback and of the packed matrices below.
constexpr int row_stride(int head_dim) { return (head_dim + 15) / 16 * 16; }

// A transform made ready for use: plain memory, matrices by columns so that vector lanes run over outputs, and rounded to f16:
// generation reads them from memory for every token, where their bytes are what they cost.
struct PackedTransform {
    Rotation           rotation = Rotation::none;
    int                head_dim = 0, stride = 0, block = 1;  // block: size of the Hadamard matrix
    std::vector<float> center, scale;                        // [stride]; scale empty: 1
    std::vector<float> undo_scale;                           // [stride], 1 / scale
    std::vector<f16_t> forward;                              // dense: [j][stride], column j of R
    std::vector<f16_t> query, output;                        // dense: [j][stride], columns of A and of B
    std::vector<f16_t> feedback;                             // [head_dim][stride]

    bool active() const { return head_dim > 0; }
};

// Errors: sizes that do not fit head_dim, numbers that are not finite or beyond f16, a scale of 0, a matrix that cannot be
// inverted.
Result<PackedTransform> pack_transform(const HeadTransform & transform, int head_dim);

// x = R x. Columns [head_dim][stride], or null: Hadamard matrices of size `block`. Sums run over j ascending by
// fused multiply-add.
void rotate_row(const f16_t * columns, int head_dim, int stride, int block, float * x);

// y from x, query rows from q, outputs from sums of y. in and out [head_dim]; out may be in; bit-identical on every ISA.
//   weight  of output_row: sum of the softmax weights, 1 unless a learned attention sink takes part
void transform_row(const PackedTransform & t, const float * in, float * out);
void restore_row(const PackedTransform & t, const float * in, float * out);  // x from y
void query_row(const PackedTransform & t, const float * in, float * out);
void output_row(const PackedTransform & t, const float * in, float weight, float * out);

// The parts of these that no rotation takes part in, in place.   x [head_dim]
void center_row(const PackedTransform & t, float * x);                  // scale * (x - center)
void uncenter_row(const PackedTransform & t, float weight, float * x);  // x / scale + weight * center
void unscale_query(const PackedTransform & t, float * q);               // q / scale

// q . center
float center_logit(const PackedTransform & t, const float * q);

}  // namespace kvt
