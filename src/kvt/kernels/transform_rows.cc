#include "kvt/kernels/transform_rows.h"

#include <algorithm>
#include <cstddef>

namespace kvt {

namespace {

float * row_of(float * x, const PackedTransform & t, int r) { return x + static_cast<ptrdiff_t>(r) * t.stride; }

void rotate(const KernelTable & kernels, const PackedTransform & t, const std::vector<f16_t> & columns, int n_rows, float * x) {
    if (t.rotation == Rotation::none) return;
    const RotationSpec spec{t.rotation == Rotation::dense ? columns.data() : nullptr, t.head_dim, t.stride, t.block};
    kernels.rotate(spec, n_rows, x);
}

}  // namespace

void transform_rows(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * x) {
    if (t == nullptr) return;
    for (int r = 0; r < n_rows; ++r) center_row(*t, row_of(x, *t, r));
    rotate(kernels, *t, t->forward, n_rows, x);
}

void transform_queries(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * q, float * center_logits) {
    if (t == nullptr) return;
    for (int r = 0; r < n_rows; ++r) {
        float * row = row_of(q, *t, r);
        if (center_logits != nullptr) center_logits[r] = center_logit(*t, row);
        unscale_query(*t, row);
    }
    rotate(kernels, *t, t->query, n_rows, q);
    // Dense rotations leave anything past head_dim, where attention wants zeros.
    for (int r = 0; r < n_rows; ++r) std::fill(row_of(q, *t, r) + t->head_dim, row_of(q, *t, r) + t->stride, 0.0f);
}

void restore_rows(const KernelTable & kernels, const PackedTransform * t, int n_rows, const float * weights, float * o) {
    if (t == nullptr) return;
    rotate(kernels, *t, t->output, n_rows, o);
    for (int r = 0; r < n_rows; ++r) uncenter_row(*t, weights == nullptr ? 1.0f : weights[r], row_of(o, *t, r));
}

}  // namespace kvt
