#include "kvt/ggml_plugin/head_rows.h"

#include <cstddef>

namespace kvt::plugin {

namespace {

void rotate(const KernelTable & kernels, const PackedTransform & t, const std::vector<f16_t> & columns, int n_rows, float * x) {
    if (t.rotation == Rotation::none) return;
    const RotationSpec spec{t.rotation == Rotation::dense ? columns.data() : nullptr, t.head_dim, t.stride, t.block};
    kernels.rotate(spec, n_rows, x);
}

}  // namespace

void transform_queries(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * q, float * center_logits) {
    if (t == nullptr) return;
    for (int r = 0; r < n_rows; ++r) {
        float * row = q + static_cast<ptrdiff_t>(r) * t->stride;
        if (center_logits != nullptr) center_logits[r] = center_logit(*t, row);
        for (int d = 0; d < t->head_dim && !t->undo_scale.empty(); ++d) row[d] *= t->undo_scale[static_cast<size_t>(d)];
    }
    rotate(kernels, *t, t->query, n_rows, q);
    // Dense rotations leave anything past head_dim, where attention wants zeros.
    for (int r = 0; r < n_rows; ++r) {
        for (int d = t->head_dim; d < t->stride; ++d) q[static_cast<ptrdiff_t>(r) * t->stride + d] = 0.0f;
    }
}

void restore_outputs(const KernelTable & kernels, const PackedTransform * t, int n_rows, const float * weights, float * o) {
    if (t == nullptr) return;
    rotate(kernels, *t, t->output, n_rows, o);
    for (int r = 0; r < n_rows; ++r) {
        float * row = o + static_cast<ptrdiff_t>(r) * t->stride;
        for (int d = 0; d < t->head_dim; ++d) {
            if (!t->undo_scale.empty()) row[d] *= t->undo_scale[static_cast<size_t>(d)];
            row[d] += weights[r] * t->center[static_cast<size_t>(d)];
        }
    }
}

}  // namespace kvt::plugin
