// Rotations of rows by one ISA; bit-identical to quant/transform.cc: each element sees the same operations in the same order.

namespace kvt {
namespace {

// One stage of butterflies within vectors: lanes whose number has the bit `Half` become partner - self, the others self +
// partner.
template <int Half>
inline F butterfly(F x) {
    alignas(64) static constexpr float kSigns[16] = {1,
                                                     (1 & Half) != 0 ? -1.0f : 1.0f,
                                                     (2 & Half) != 0 ? -1.0f : 1.0f,
                                                     (3 & Half) != 0 ? -1.0f : 1.0f,
                                                     (4 & Half) != 0 ? -1.0f : 1.0f,
                                                     (5 & Half) != 0 ? -1.0f : 1.0f,
                                                     (6 & Half) != 0 ? -1.0f : 1.0f,
                                                     (7 & Half) != 0 ? -1.0f : 1.0f,
                                                     (8 & Half) != 0 ? -1.0f : 1.0f,
                                                     (9 & Half) != 0 ? -1.0f : 1.0f,
                                                     (10 & Half) != 0 ? -1.0f : 1.0f,
                                                     (11 & Half) != 0 ? -1.0f : 1.0f,
                                                     (12 & Half) != 0 ? -1.0f : 1.0f,
                                                     (13 & Half) != 0 ? -1.0f : 1.0f,
                                                     (14 & Half) != 0 ? -1.0f : 1.0f,
                                                     (15 & Half) != 0 ? -1.0f : 1.0f};
    return add(exchange<Half>(x), mul(x, load(kSigns)));
}

// Blocks of fewer channels than a vector has lanes (head_dim 40, 72, ...).
inline void hadamard_narrow(float * x, int n, int block) {
    for (int half = 1; half < block; half *= 2) {
        for (int i = 0; i < n; i += 2 * half) {
            for (int j = i; j < i + half; ++j) {
                const float a = x[j], b = x[j + half];
                x[j]        = a + b;
                x[j + half] = a - b;
            }
        }
    }
}

inline void hadamard_row(float * x, int n, int block) {
    const float norm = 1.0f / __builtin_sqrtf(static_cast<float>(block));
    if (block < kLanes) {
        hadamard_narrow(x, n, block);
    } else {
        for (int i = 0; i < n; i += kLanes) {
            F v = butterfly<2>(butterfly<1>(load(x + i)));
            if constexpr (kLanes >= 8) v = butterfly<4>(v);
            if constexpr (kLanes >= 16) v = butterfly<8>(v);
            store(x + i, v);
        }
        for (int half = kLanes; half < block; half *= 2) {
            for (int i = 0; i < n; i += 2 * half) {
                for (int j = i; j < i + half; j += kLanes) {
                    const F a = load(x + j), b = load(x + j + half);
                    store(x + j, add(a, b));
                    store(x + j + half, sub(a, b));
                }
            }
        }
    }
    for (int d = 0; d < n; ++d) x[d] = x[d] * norm;
}

// R rows times V vectors of columns of a matrix: out[r][i] = sum over j of columns[j][i] * in[r][j].
template <int R, int V>
inline void multiply_rows(const uint16_t * columns, int n, int stride, const float * in, float * out) {
    F sum[R][V];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int v = 0; v < V; ++v) sum[r][v] = zero();
    }
    for (int j = 0; j < n; ++j) {
        F column[V];
        KVT_UNROLL
        for (int v = 0; v < V; ++v) column[v] = load_f16(columns + static_cast<ptrdiff_t>(j) * stride + v * kLanes);
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            const F x = set1(in[r * stride + j]);
            KVT_UNROLL
            for (int v = 0; v < V; ++v) sum[r][v] = fma(column[v], x, sum[r][v]);
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int v = 0; v < V; ++v) store(out + r * stride + v * kLanes, sum[r][v]);
    }
}

// All columns for R rows of x, V vectors at a time.
template <int R, int V>
inline void multiply(const RotationSpec & spec, float * x) {
    float in[R * 1024];
    __builtin_memcpy(in, x, sizeof(float) * R * static_cast<size_t>(spec.stride));
    int i = 0;
    for (; i + V * kLanes <= spec.stride; i += V * kLanes)
        multiply_rows<R, V>(spec.columns + i, spec.head_dim, spec.stride, in, x + i);
    for (; i < spec.stride; i += kLanes) multiply_rows<R, 1>(spec.columns + i, spec.head_dim, spec.stride, in, x + i);
}

void rotate_simd(const RotationSpec & spec, int n_rows, float * x) {
    if (spec.columns == nullptr) {
        for (int r = 0; r < n_rows; ++r) hadamard_row(x + static_cast<ptrdiff_t>(r) * spec.stride, spec.head_dim, spec.block);
        return;
    }
    constexpr int kRows = kLanes == 16 ? 8 : 4;  // x 2 vectors of sums: 16 registers of 32, with AVX2 8 of 16
    int           r     = 0;
    for (; r + kRows <= n_rows; r += kRows) multiply<kRows, 2>(spec, x + static_cast<ptrdiff_t>(r) * spec.stride);
    // A single row needs 8 sums to hide the latency of their multiply-adds.
    for (; r < n_rows; ++r) multiply<1, 8>(spec, x + static_cast<ptrdiff_t>(r) * spec.stride);
}

}  // namespace
}  // namespace kvt
