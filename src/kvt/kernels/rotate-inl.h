// Rotations of rows by one ISA; bit-identical to quant/transform.cc: each element sees the same operations in the same order.

namespace kvt {
namespace {

// Butterflies within vectors are done by plain code, those between vectors by lanes.
inline void hadamard_row(float * x, int n, int block) {
    const float norm = 1.0f / __builtin_sqrtf(static_cast<float>(block));
    for (int half = 1; half < block; half *= 2) {
        if (half >= kLanes) {
            for (int i = 0; i < n; i += 2 * half) {
                for (int j = i; j < i + half; j += kLanes) {
                    const F a = load(x + j), b = load(x + j + half);
                    store(x + j, add(a, b));
                    store(x + j + half, sub(a, b));
                }
            }
        } else {
            for (int i = 0; i < n; i += 2 * half) {
                for (int j = i; j < i + half; ++j) {
                    const float a = x[j], b = x[j + half];
                    x[j]        = a + b;
                    x[j + half] = a - b;
                }
            }
        }
    }
    for (int d = 0; d < n; ++d) x[d] = x[d] * norm;
}

// R rows times a matrix by columns: out[r][i] = sum over j of columns[j][i] * in[r][j].
template <int R>
inline void multiply_rows(const float * columns, int n, int stride, const float * in, float * out) {
    for (int i = 0; i < stride; i += kLanes) {
        F sum[R];
        KVT_UNROLL
        for (int r = 0; r < R; ++r) sum[r] = zero();
        for (int j = 0; j < n; ++j) {
            const F column = load(columns + static_cast<ptrdiff_t>(j) * stride + i);
            KVT_UNROLL
            for (int r = 0; r < R; ++r) sum[r] = add(sum[r], mul(column, set1(in[r * stride + j])));
        }
        KVT_UNROLL
        for (int r = 0; r < R; ++r) store(out + r * stride + i, sum[r]);
    }
}

void rotate_simd(const RotationSpec & spec, int n_rows, float * x) {
    if (spec.columns == nullptr) {
        for (int r = 0; r < n_rows; ++r) hadamard_row(x + static_cast<ptrdiff_t>(r) * spec.stride, spec.head_dim, spec.block);
        return;
    }
    constexpr int kRows = 8;
    float         in[kRows * 1024];
    int           r = 0;
    for (; r + kRows <= n_rows; r += kRows) {
        float * rows = x + static_cast<ptrdiff_t>(r) * spec.stride;
        __builtin_memcpy(in, rows, sizeof(float) * kRows * static_cast<size_t>(spec.stride));
        multiply_rows<kRows>(spec.columns, spec.head_dim, spec.stride, in, rows);
    }
    for (; r < n_rows; ++r) {
        float * row = x + static_cast<ptrdiff_t>(r) * spec.stride;
        __builtin_memcpy(in, row, sizeof(float) * static_cast<size_t>(spec.stride));
        multiply_rows<1>(spec.columns, spec.head_dim, spec.stride, in, row);
    }
}

}  // namespace
}  // namespace kvt
