// p . v of one ISA: integer dot products over packed codes, float sums over f16 parts.

namespace kvt {
namespace {

// --- Weights as integers ---

constexpr int kVecs = 32 / kLanes;  // of 32 tokens

// Scales and offsets of one group of channels.
struct GroupParams {
    F s[kVecs], z[kVecs];
};

inline GroupParams load_group(const TileSpec & spec, const uint8_t * tile, int g) {
    GroupParams out;
    KVT_UNROLL
    for (int v = 0; v < kVecs; ++v) {
        const ScaleLanes p = load_scales(spec, tile, g * 32 + v * kLanes);
        out.s[v]           = p.s;
        out.z[v]           = p.z;
    }
    return out;
}

// Weights of one row for one group: p[t] * s[t] rounded to i * step with i = 64 * high + low, four tokens a word.
struct WeightRow {
    uint8_t low[32], high[32];
    float   step;
};

// Adds p[t] * z[t] to `constant` lane by lane. A token whose p is 0 takes no part: what a hidden or unused cell holds, NaN
// included, must not show.
inline void weigh(const float * p, const GroupParams & group, float factor, float * constant, WeightRow & out) {
    F scaled[kVecs], top = zero();
    KVT_UNROLL
    for (int v = 0; v < kVecs; ++v) {
        scaled[v] = mul_nonzero(load(p + v * kLanes), group.s[v]);
        top       = max(scaled[v], top);
    }
    const float largest = reduce_max(top);
    const float inverse = largest > 0.0f ? static_cast<float>(kWeightLimit) / largest : 0.0f;
    F           sums[16 / kLanes];
    KVT_UNROLL
    for (int v = 0; v < 16 / kLanes; ++v) sums[v] = mul(load(constant + v * kLanes), set1(factor));
    KVT_UNROLL
    for (int v = 0; v < kVecs; ++v) {
        const I i = to_int(mul(scaled[v], set1(inverse)));
        store_bytes(out.low + v * kLanes, bit_and(i, 63));
        store_bytes(out.high + v * kLanes, shift_right(i, 6));
        F & sum = sums[v % (16 / kLanes)];
        sum     = add(sum, mul_nonzero(load(p + v * kLanes), group.z[v]));
    }
    KVT_UNROLL
    for (int v = 0; v < 16 / kLanes; ++v) store(constant + v * kLanes, sums[v]);
    out.step = largest / static_cast<float>(kWeightLimit);
}

// R rows x C vectors of channels: acc = acc * factor + step * sum of i * code.
template <int R, int C>
inline void weighted_block(int row_bytes, const uint8_t * words, const WeightRow * weights, const float * factor, int stride,
                           Ahead & ahead, float * acc) {
    I low[R][C], high[R][C];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) low[r][c] = high[r][c] = zero_words();
    }
    for (int quad = 0; quad < 8; ++quad) {
        fetch(ahead);
        I w[C];
        KVT_UNROLL
        for (int c = 0; c < C; ++c) w[c] = load_words(words + quad * row_bytes + c * 4 * kLanes);
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            KVT_UNROLL
            for (int c = 0; c < C; ++c) {
                low[r][c]  = dot(low[r][c], w[c], weights[r].low + 4 * quad);
                high[r][c] = dot(high[r][c], w[c], weights[r].high + 4 * quad);
            }
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) {
            float * to  = acc + r * stride + c * kLanes;
            const F sum = to_float(add_words(low[r][c], shift_left(high[r][c], 6)));
            store(to, fma(sum, set1(weights[r].step), mul(load(to), set1(factor[r]))));
        }
    }
}

template <int R>
inline void weighted_rows(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, const float * p,
                          const float * factor, Ahead & ahead, float * acc, float * constant) {
    const int row_bytes = spec.head_dim * 4;
    for (int g = 0; g < spec.n_groups; ++g) {
        const GroupParams group = load_group(spec, tile, g);
        WeightRow         weights[R];
        KVT_UNROLL
        for (int r = 0; r < R; ++r) weigh(p + r * 32, group, factor[r], constant + (r * spec.n_groups + g) * 16, weights[r]);
        const int end = g + 1 == spec.n_groups ? spec.stride : (g + 1) * spec.group;
        int       d   = g * spec.group;
        for (; d + 2 * kLanes <= end; d += 2 * kLanes)
            weighted_block<R, 2>(row_bytes, words + static_cast<size_t>(d) * 4, weights, factor, spec.stride, ahead, acc + d);
        for (; d < end; d += kLanes)
            weighted_block<R, 1>(row_bytes, words + static_cast<size_t>(d) * 4, weights, factor, spec.stride, ahead, acc + d);
    }
}

template <int R>
inline void weighted_all(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, int n_rows, const float * p,
                         const float * factor, Ahead & ahead, float * acc, float * constant) {
    int r = 0;
    for (; r + R <= n_rows; r += R) {
        weighted_rows<R>(spec, tile, words, p + r * 32, factor + r, ahead, acc + r * spec.stride,
                         constant + r * spec.n_groups * 16);
    }
    if constexpr (R > 1) {
        if (r < n_rows) {
            weighted_all<R / 2>(spec, tile, words, n_rows - r, p + r * 32, factor + r, ahead, acc + r * spec.stride,
                                constant + r * spec.n_groups * 16);
        }
    }
}

// --- Floats ---

// R rows x C vectors of channels.
template <int R, int C>
inline void pv_block(int stride, const float * p, const float * factor, const float * v, Ahead & ahead, float * acc) {
    F sum[R][C];
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sum[r][c] = mul(load(acc + r * stride + c * kLanes), set1(factor[r]));
    }
    for (int t = 0; t < 32; ++t) {
        fetch(ahead);
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
inline void pv_rows(int n_rows, int stride, const float * p, const float * factor, const float * v, Ahead & ahead, float * acc) {
    for (int r = 0; r + R <= n_rows; r += R) {
        const float * p_r   = p + r * 32;
        float *       acc_r = acc + r * stride;
        int           d     = 0;
        for (; d + kVecsPv * kLanes <= stride; d += kVecsPv * kLanes)
            pv_block<R, kVecsPv>(stride, p_r, factor + r, v + d, ahead, acc_r + d);
        for (; d < stride; d += kLanes) pv_block<R, 1>(stride, p_r, factor + r, v + d, ahead, acc_r + d);
    }
    if constexpr (R > 1) {
        const int done = n_rows / R * R;
        if (done < n_rows) pv_rows<R / 2>(n_rows - done, stride, p + done * 32, factor + done, v, ahead, acc + done * stride);
    }
}

void values_simd(const TileSpec & spec, const uint8_t * tile, const uint8_t * operand, int n_rows, const float * p,
                 const float * factor, Ahead & ahead, float * acc, float * constant) {
    if (spec.is_f16) {
        pv_rows<kRowsPv>(n_rows, spec.stride, p, factor, reinterpret_cast<const float *>(operand), ahead, acc);
    } else {
        weighted_all<kRowsDot>(spec, tile, operand, n_rows, p, factor, ahead, acc, constant);
    }
}

}  // namespace
}  // namespace kvt
