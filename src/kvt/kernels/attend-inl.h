// Scores, softmax step and value sums of one ISA over one decoded tile.
//
// Register blocking: kRowsQk query rows x 2 vectors of tokens, kRowsPv rows x kVecsPv vectors of channels, sized so that
// accumulators, operands and one broadcast fit the register file (simd_*.h).

namespace kvt {
namespace {

// R rows x 2 vectors of tokens starting at token t0.
template <int R>
inline void qk_block(int head_dim, const float * q, int q_stride, const float * k, float * scores) {
    F acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = zero();
    for (int d = 0; d < head_dim; ++d) {
        const F k0 = load(k + d * 32), k1 = load(k + d * 32 + kLanes);
        for (int r = 0; r < R; ++r) {
            const F b = set1(q[r * q_stride + d]);
            acc[r][0] = fma(b, k0, acc[r][0]);
            acc[r][1] = fma(b, k1, acc[r][1]);
        }
    }
    for (int r = 0; r < R; ++r) {
        store(scores + r * 32, acc[r][0]);
        store(scores + r * 32 + kLanes, acc[r][1]);
    }
}

template <int R>
inline void qk_rows(int n_rows, int head_dim, const float * q, int q_stride, const float * k, float * scores) {
    for (int r = 0; r + R <= n_rows; r += R) {
        for (int t = 0; t < 32; t += 2 * kLanes) qk_block<R>(head_dim, q + r * q_stride, q_stride, k + t, scores + r * 32 + t);
    }
    if constexpr (R > 1) {
        const int done = n_rows / R * R;
        if (done < n_rows) qk_rows<R / 2>(n_rows - done, head_dim, q + done * q_stride, q_stride, k, scores + done * 32);
    }
}

void qk_simd(int n_rows, int head_dim, const float * q, int q_stride, const float * k, float * scores) {
    qk_rows<kRowsQk>(n_rows, head_dim, q, q_stride, k, scores);
}

// e^x for x <= 0, relative error below 2^-22; 0 below -87 (f32 would go subnormal at -87.3) and for -inf; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln2 / 2; the degree-6 Taylor remainder at ln2 / 2 is 1.2e-7.
inline F exp_nonpositive(F x) {
    const F limit = set1(-87.0f);
    const F n     = round(mul(x, set1(1.44269504f)));
    F       r     = fma(n, set1(-0.693359375f), x);
    r             = fma(n, set1(2.12194440e-4f), r);
    F p           = set1(1.0f / 720.0f);
    p             = fma(p, r, set1(1.0f / 120.0f));
    p             = fma(p, r, set1(1.0f / 24.0f));
    p             = fma(p, r, set1(1.0f / 6.0f));
    p             = fma(p, r, set1(0.5f));
    p             = fma(p, r, set1(1.0f));
    p             = fma(p, r, set1(1.0f));
    return select_gt(limit, x, zero(), scale_by_power(p, n));
}

float softmax_step_simd(float * scores, float * m, float * l) {
    constexpr int kVecs = 32 / kLanes;
    F             top   = load(scores);
    for (int v = 1; v < kVecs; ++v) top = max(load(scores + v * kLanes), top);
    const float tile_max = reduce_max(top);
    const float new_max  = tile_max > *m ? tile_max : *m;
    const F     floor    = set1(-kInfinity);
    if (new_max == -kInfinity) {
        for (int v = 0; v < kVecs; ++v)
            store(scores + v * kLanes, select_eq(load(scores + v * kLanes), floor, zero(), load(scores + v * kLanes)));
        return 1.0f;
    }
    const float factor = *m == new_max ? 1.0f : reduce_max(exp_nonpositive(set1(*m - new_max)));
    F           sum    = zero();
    for (int v = 0; v < kVecs; ++v) {
        const F e = exp_nonpositive(sub(load(scores + v * kLanes), set1(new_max)));
        store(scores + v * kLanes, e);
        sum = add(sum, e);
    }
    *m = new_max;
    *l = *l * factor + reduce_add(sum);
    return factor;
}

void add_mask_simd(const uint16_t * mask, float slope, float * scores) {
    const F floor = set1(-kInfinity);
    for (int t = 0; t < 32; t += kLanes) {
        const F m = load_f16(mask + t);
        store(scores + t, select_eq(m, floor, floor, fma(m, set1(slope), load(scores + t))));
    }
}

// R rows x C vectors of channels.
template <int R, int C>
inline void pv_block(int stride, const float * p, const float * factor, const float * v, float * acc) {
    F sum[R][C];
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sum[r][c] = mul(load(acc + r * stride + c * kLanes), set1(factor[r]));
    }
    for (int t = 0; t < 32; ++t) {
        F row[C];
        for (int c = 0; c < C; ++c) row[c] = load(v + t * stride + c * kLanes);
        for (int r = 0; r < R; ++r) {
            const F b = set1(p[r * 32 + t]);
            for (int c = 0; c < C; ++c) sum[r][c] = fma(b, row[c], sum[r][c]);
        }
    }
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) store(acc + r * stride + c * kLanes, sum[r][c]);
    }
}

template <int R>
inline void pv_rows(int n_rows, int stride, const float * p, const float * factor, const float * v, float * acc) {
    for (int r = 0; r + R <= n_rows; r += R) {
        const float * p_r   = p + r * 32;
        float *       acc_r = acc + r * stride;
        int           d     = 0;
        for (; d + kVecsPv * kLanes <= stride; d += kVecsPv * kLanes)
            pv_block<R, kVecsPv>(stride, p_r, factor + r, v + d, acc_r + d);
        for (; d < stride; d += kLanes) pv_block<R, 1>(stride, p_r, factor + r, v + d, acc_r + d);
    }
    if constexpr (R > 1) {
        const int done = n_rows / R * R;
        if (done < n_rows) pv_rows<R / 2>(n_rows - done, stride, p + done * 32, factor + done, v, acc + done * stride);
    }
}

void pv_simd(int n_rows, int stride, const float * p, const float * factor, const float * v, float * acc) {
    pv_rows<kRowsPv>(n_rows, stride, p, factor, v, acc);
}

}  // namespace
}  // namespace kvt
