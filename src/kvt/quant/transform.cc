#include "kvt/quant/transform.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace kvt {

namespace {

constexpr int kMaxHeadDim = 1024;

bool all_finite(const std::vector<float> & values) {
    for (const float x : values) {
        if (!std::isfinite(x)) return false;
    }
    return true;
}

// Inverse by Gauss-Jordan elimination with row pivots, in double.   m [n][n]; empty if it cannot be inverted
std::vector<double> inverse_of(std::vector<double> m, int n) {
    std::vector<double> inverse(m.size(), 0.0);
    const auto at = [n](int r, int c) { return static_cast<size_t>(r) * static_cast<size_t>(n) + static_cast<size_t>(c); };
    for (int i = 0; i < n; ++i) inverse[at(i, i)] = 1.0;
    for (int c = 0; c < n; ++c) {
        int pivot = c;
        for (int r = c + 1; r < n; ++r) {
            if (std::abs(m[at(r, c)]) > std::abs(m[at(pivot, c)])) pivot = r;
        }
        if (!(std::abs(m[at(pivot, c)]) > 1e-12)) return {};
        for (int k = 0; k < n && pivot != c; ++k) {
            std::swap(m[at(pivot, k)], m[at(c, k)]);
            std::swap(inverse[at(pivot, k)], inverse[at(c, k)]);
        }
        const double scale = 1.0 / m[at(c, c)];
        for (int k = 0; k < n; ++k) {
            m[at(c, k)] *= scale;
            inverse[at(c, k)] *= scale;
        }
        for (int r = 0; r < n; ++r) {
            const double factor = m[at(r, c)];
            if (r == c || factor == 0.0) continue;
            for (int k = 0; k < n; ++k) {
                m[at(r, k)] -= factor * m[at(c, k)];
                inverse[at(r, k)] -= factor * inverse[at(c, k)];
            }
        }
    }
    return inverse;
}

Error too_large() { return Error{"a matrix or its inverse has numbers beyond 65504"}; }

Status check_sizes(const HeadTransform & t, size_t n, size_t stride) {
    const auto wrong = [](const char * what, size_t found, size_t wanted) {
        return Error{fmt::format("{} has {} numbers, {} expected", what, found, wanted)};
    };
    if (t.center.size() != n) return wrong("center", t.center.size(), n);
    if (!t.scale.empty() && t.scale.size() != n) return wrong("scale", t.scale.size(), n);
    if (t.rotation == Rotation::dense && !t.scale.empty()) return Error{"a dense rotation has a scale of its own"};
    const size_t matrix = t.rotation == Rotation::dense ? n * n : 0;
    if (t.matrix.size() != matrix) return wrong("matrix", t.matrix.size(), matrix);
    if (!t.feedback.empty() && t.feedback.size() != n * stride) return wrong("feedback", t.feedback.size(), n * stride);
    for (const auto * values : {&t.center, &t.scale, &t.matrix, &t.feedback}) {
        if (!all_finite(*values)) return Error{"a number is not finite"};
    }
    for (const float s : t.scale) {
        if (s == 0.0f) return Error{"a scale is 0"};
    }
    return ok_status();
}

// Normalised Hadamard transform of each block of x, in place: butterflies, then one product.
void hadamard(float * x, int n, int block) {
    const float norm = 1.0f / std::sqrt(static_cast<float>(block));
    for (int first = 0; first < n; first += block) {
        for (int half = 1; half < block; half *= 2) {
            for (int i = first; i < first + block; i += 2 * half) {
                for (int j = i; j < i + half; ++j) {
                    const float a = x[j], b = x[j + half];
                    x[j]        = a + b;
                    x[j + half] = a - b;
                }
            }
        }
        for (int i = first; i < first + block; ++i) x[i] = x[i] * norm;
    }
}

// By one of the packed matrices, or by the Hadamard matrix that stands for all of them.
void rotate(const PackedTransform & t, const std::vector<f16_t> & columns, float * x) {
    if (t.rotation == Rotation::none) return;
    rotate_row(t.rotation == Rotation::dense ? columns.data() : nullptr, t.head_dim, t.stride, t.block, x);
}

}  // namespace

void rotate_row(const f16_t * columns, int head_dim, int stride, int block, float * x) {
    if (columns == nullptr) return hadamard(x, head_dim, block);
    float sum[kMaxHeadDim];
    for (int i = 0; i < head_dim; ++i) sum[i] = 0.0f;
    for (int j = 0; j < head_dim; ++j) {
        for (int i = 0; i < head_dim; ++i)
            sum[i] = std::fma(f16_to_f32(columns[static_cast<ptrdiff_t>(j) * stride + i]), x[j], sum[i]);
    }
    for (int i = 0; i < head_dim; ++i) x[i] = sum[i];
}

Result<PackedTransform> pack_transform(const HeadTransform & t, int head_dim) {
    const int    stride = row_stride(head_dim);
    const size_t n = static_cast<size_t>(head_dim), wide = static_cast<size_t>(stride);
    KVT_CHECK_OK(check_sizes(t, n, wide));
    PackedTransform p;
    p.rotation = t.rotation;
    p.head_dim = head_dim;
    p.stride   = stride;
    p.center   = t.center;
    p.center.resize(wide, 0.0f);
    p.block = hadamard_block(head_dim);
    if (!t.scale.empty()) {
        p.scale = t.scale;
        for (const float s : t.scale) p.undo_scale.push_back(1.0f / s);
        p.scale.resize(wide, 1.0f);
        p.undo_scale.resize(wide, 1.0f);
    }
    bool       fits    = true;
    const auto rounded = [&fits](double x) {
        const f16_t half = f32_to_f16(static_cast<float>(x));
        fits             = fits && f16_is_finite(half);
        return half;
    };
    for (const float f : t.feedback) p.feedback.push_back(rounded(f));
    if (t.rotation != Rotation::dense) return fits ? Result<PackedTransform>(std::move(p)) : too_large();
    std::vector<double> matrix;
    for (const float x : t.matrix) matrix.push_back(f16_to_f32(rounded(x)));  // the inverse is that of what is used
    const std::vector<double> inverse = inverse_of(matrix, head_dim);
    if (inverse.empty()) return Error{"the matrix cannot be inverted"};
    for (auto * m : {&p.forward, &p.query, &p.output}) m->assign(n * wide, 0);
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < n; ++j) {
            p.forward[j * wide + i] = rounded(matrix[i * n + j]);
            p.output[j * wide + i]  = rounded(inverse[i * n + j]);
            p.query[j * wide + i]   = rounded(inverse[j * n + i]);  // transposed
        }
    }
    return fits ? Result<PackedTransform>(std::move(p)) : too_large();
}

void center_row(const PackedTransform & t, float * x) {
    for (int d = 0; d < t.head_dim; ++d) {
        x[d] = x[d] - t.center[static_cast<size_t>(d)];
        if (!t.scale.empty()) x[d] = x[d] * t.scale[static_cast<size_t>(d)];
    }
}

void uncenter_row(const PackedTransform & t, float weight, float * x) {
    for (int d = 0; d < t.head_dim; ++d) {
        if (!t.undo_scale.empty()) x[d] = x[d] * t.undo_scale[static_cast<size_t>(d)];
        x[d] = x[d] + weight * t.center[static_cast<size_t>(d)];
    }
}

void unscale_query(const PackedTransform & t, float * q) {
    for (int d = 0; d < t.head_dim && !t.undo_scale.empty(); ++d) q[d] = q[d] * t.undo_scale[static_cast<size_t>(d)];
}

void transform_row(const PackedTransform & t, const float * in, float * out) {
    std::copy_n(in, t.head_dim, out);
    center_row(t, out);
    rotate(t, t.forward, out);
}

void output_row(const PackedTransform & t, const float * in, float weight, float * out) {
    std::copy_n(in, t.head_dim, out);
    rotate(t, t.output, out);
    uncenter_row(t, weight, out);
}

void restore_row(const PackedTransform & t, const float * in, float * out) { output_row(t, in, 1.0f, out); }

void query_row(const PackedTransform & t, const float * in, float * out) {
    std::copy_n(in, t.head_dim, out);
    unscale_query(t, out);
    rotate(t, t.query, out);
}

float center_logit(const PackedTransform & t, const float * q) {
    float sum = 0;
    for (int d = 0; d < t.head_dim; ++d) sum += q[d] * t.center[static_cast<size_t>(d)];
    return sum;
}

}  // namespace kvt
