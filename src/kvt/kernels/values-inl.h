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

// Weights of one row for one group: p[t] * s[t] rounded to i * step, as store_wide() or store_narrow() stores them.
struct WeightRow {
    int8_t parts[64];
    float  step;
};

// Adds p[t] * z[t] to `constant` lane by lane. A token whose p is 0 takes no part: what a hidden or unused cell holds, NaN
// included, must not show.
template <bool Narrow>
inline void weigh(const float * p, const GroupParams & group, float factor, float * constant, WeightRow & out) {
    F scaled[kVecs], top = zero();
    KVT_UNROLL
    for (int v = 0; v < kVecs; ++v) {
        scaled[v] = mul_nonzero(load(p + v * kLanes), group.s[v]);
        top       = max(scaled[v], top);
    }
    constexpr float kLimit  = static_cast<float>(Narrow ? kWeightLimitNarrow : kWeightLimit);
    const float     largest = reduce_max(top);
    const float     inverse = largest > 0.0f ? kLimit / largest : 0.0f;
    F               sums[kVecs16];
    KVT_UNROLL
    for (int v = 0; v < kVecs16; ++v) sums[v] = mul(load(constant + v * kLanes), set1(factor));
    KVT_UNROLL
    for (int t = 0; t < kVecs; t += kVecs16) {
        I i[kVecs16];
        KVT_UNROLL
        for (int v = 0; v < kVecs16; ++v) {
            i[v]    = to_int(mul(scaled[t + v], set1(inverse)));
            sums[v] = add(sums[v], mul_nonzero(load(p + (t + v) * kLanes), group.z[t + v]));
        }
        if constexpr (Narrow) {
            store_narrow(out.parts, t * kLanes, i);
        } else {
            store_wide(out.parts, 32, t * kLanes, i);
        }
    }
    KVT_UNROLL
    for (int v = 0; v < kVecs16; ++v) store(constant + v * kLanes, sums[v]);
    out.step = largest / kLimit;
}

// R rows x C vectors of channels: sum of i * code over 32 tokens.
template <int R, int C, int Bits>
inline void sum_wide(int row_bytes, const uint8_t * words, const WeightRow * weights, Ahead & ahead, I (&out)[R][C]) {
    WideSum sum[R][C];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) sum[r][c] = WideSum{};
    }
    for (int quad = 0; quad < 8; quad += kQuadsOfRow<Bits>, words += row_bytes) {
        if (quad % kQuadsPerPortion == 0) fetch(ahead);
        I packed[C];
        KVT_UNROLL
        for (int c = 0; c < C; ++c) packed[c] = load_words(words + c * 4 * kLanes);
        KVT_UNROLL
        for (int i = 0; i < kQuadsOfRow<Bits>; ++i) {
            WideCodes codes[C];
            KVT_UNROLL
            for (int c = 0; c < C; ++c) codes[c] = wide_codes(codes_of<Bits>(packed[c], i));
            KVT_UNROLL
            for (int r = 0; r < R; ++r) {
                KVT_UNROLL
                for (int c = 0; c < C; ++c) add_wide(sum[r][c], codes[c], weights[r].parts, 32, quad + i);
            }
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) out[r][c] = total(sum[r][c]);
    }
}

template <int R, int C, int Bits>
inline void sum_narrow(int row_bytes, const uint8_t * words, const WeightRow * weights, Ahead & ahead, I (&out)[R][C]) {
    static_assert(kNarrowQuads >= 8);
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) out[r][c] = zero_words();
    }
    for (int quad = 0; quad < 8; quad += kQuadsOfRow<Bits>, words += row_bytes) {
        if (quad % kQuadsPerPortion == 0) fetch(ahead);
        I packed[C];
        KVT_UNROLL
        for (int c = 0; c < C; ++c) packed[c] = load_words(words + c * 4 * kLanes);
        KVT_UNROLL
        for (int i = 0; i < kQuadsOfRow<Bits>; ++i) {
            KVT_UNROLL
            for (int c = 0; c < C; ++c) {
                const I codes = codes_of<Bits>(packed[c], i);
                KVT_UNROLL
                for (int r = 0; r < R; ++r) out[r][c] = add_narrow(out[r][c], codes, weights[r].parts, quad + i);
            }
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) out[r][c] = widened(out[r][c]);
    }
}

// acc = acc * factor + step * sum of i * code.
template <int R, int C, bool Narrow, int Bits>
inline void weighted_block(int row_bytes, const uint8_t * words, const WeightRow * weights, const float * factor, int stride,
                           Ahead & ahead, float * acc) {
    I sum[R][C];
    if constexpr (Narrow) {
        sum_narrow<R, C, Bits>(row_bytes, words, weights, ahead, sum);
    } else {
        sum_wide<R, C, Bits>(row_bytes, words, weights, ahead, sum);
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int c = 0; c < C; ++c) {
            float * to = acc + r * stride + c * kLanes;
            store(to, fma(to_float(sum[r][c]), set1(weights[r].step), mul(load(to), set1(factor[r]))));
        }
    }
}

template <int R, bool Narrow, int Bits>
inline void weighted_rows(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, const float * p,
                          const float * factor, Ahead & ahead, float * acc, float * constant) {
    const int     row_bytes = spec.head_dim * 4;
    constexpr int kTogether = 4;  // groups whose weights are made side by side: one alone waits for its maximum and its stores
    for (int first = 0; first < spec.n_groups; first += kTogether) {
        const int last = first + kTogether < spec.n_groups ? first + kTogether : spec.n_groups;
        WeightRow weights[kTogether][R];
        for (int g = first; g < last; ++g) {
            const GroupParams group = load_group(spec, tile, g);
            KVT_UNROLL
            for (int r = 0; r < R; ++r)
                weigh<Narrow>(p + r * 32, group, factor[r], constant + (r * spec.n_groups + g) * 16, weights[g - first][r]);
        }
        for (int g = first; g < last; ++g) {
            const int end = g + 1 == spec.n_groups ? spec.stride : (g + 1) * spec.group;
            int       d   = g * spec.group;
            for (; d + 2 * kLanes <= end; d += 2 * kLanes) {
                weighted_block<R, 2, Narrow, Bits>(row_bytes, words + static_cast<size_t>(d) * 4, weights[g - first], factor,
                                                   spec.stride, ahead, acc + d);
            }
            for (; d < end; d += kLanes) {
                weighted_block<R, 1, Narrow, Bits>(row_bytes, words + static_cast<size_t>(d) * 4, weights[g - first], factor,
                                                   spec.stride, ahead, acc + d);
            }
        }
    }
}

template <int R, bool Narrow, int Bits>
inline void weighted_all(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, int n_rows, const float * p,
                         const float * factor, Ahead & ahead, float * acc, float * constant) {
    int r = 0;
    for (; r + R <= n_rows; r += R) {
        weighted_rows<R, Narrow, Bits>(spec, tile, words, p + r * 32, factor + r, ahead, acc + r * spec.stride,
                                       constant + r * spec.n_groups * 16);
    }
    if constexpr (R > 1) {
        if (r < n_rows) {
            weighted_all<R / 2, Narrow, Bits>(spec, tile, words, n_rows - r, p + r * 32, factor + r, ahead, acc + r * spec.stride,
                                              constant + r * spec.n_groups * 16);
        }
    }
}

// Whether one part is enough for the weights of a row (kNarrowShare).
inline bool small_weights(const float * p, float sum) {
    F top = load(p);
    KVT_UNROLL
    for (int v = 1; v < kVecs; ++v) top = max(load(p + v * kLanes), top);
    return !(reduce_max(top) * static_cast<float>(kNarrowShare) > sum);
}

// Rows in runs of one kind: what one row gets must not depend on the others.
template <int Bits>
inline void weighted_narrow(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, int n_rows, const float * p,
                            const float * factor, const float * sum, Ahead & ahead, float * acc, float * constant) {
    for (int first = 0; first < n_rows;) {
        const bool narrow = small_weights(p + first * 32, sum[first]);
        int        last   = first + 1;
        while (last < n_rows && small_weights(p + last * 32, sum[last]) == narrow) ++last;
        float * const to        = acc + first * spec.stride;
        float * const constants = constant + first * spec.n_groups * 16;
        if (narrow) {
            weighted_all<kRowsOneDot, true, Bits>(spec, tile, words, last - first, p + first * 32, factor + first, ahead, to,
                                                  constants);
        } else {
            weighted_all<kRowsDot, false, Bits>(spec, tile, words, last - first, p + first * 32, factor + first, ahead, to,
                                                constants);
        }
        first = last;
    }
}

// --- Floats ---

// R rows x C vectors of channels. V: float, or f16_t as the tile stores it, rows of `v_stride`.
template <int R, int C, class V>
inline void pv_block(int stride, int v_stride, const float * p, const float * factor, const V * v, Ahead & ahead, float * acc) {
    F sum[R][C];
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sum[r][c] = mul(load(acc + r * stride + c * kLanes), set1(factor[r]));
    }
    for (int t = 0; t < 32; ++t) {
        if (t % (2 * kQuadsPerPortion) == 0) fetch(ahead);
        F row[C];
        for (int c = 0; c < C; ++c) row[c] = load_as_float(v + t * v_stride + c * kLanes);
        for (int r = 0; r < R; ++r) {
            const F b = set1(p[r * 32 + t]);
            for (int c = 0; c < C; ++c) sum[r][c] = fma(b, row[c], sum[r][c]);
        }
    }
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) store(acc + r * stride + c * kLanes, sum[r][c]);
    }
}

template <int R, class V>
inline void pv_rows(int n_rows, int stride, int v_stride, const float * p, const float * factor, const V * v, Ahead & ahead,
                    float * acc) {
    for (int r = 0; r + R <= n_rows; r += R) {
        const float * p_r   = p + r * 32;
        float *       acc_r = acc + r * stride;
        int           d     = 0;
        for (; d + kVecsPv * kLanes <= stride; d += kVecsPv * kLanes)
            pv_block<R, kVecsPv, V>(stride, v_stride, p_r, factor + r, v + d, ahead, acc_r + d);
        for (; d < stride; d += kLanes) pv_block<R, 1, V>(stride, v_stride, p_r, factor + r, v + d, ahead, acc_r + d);
    }
    if constexpr (R > 1) {
        const int done = n_rows / R * R;
        if (done < n_rows)
            pv_rows<R / 2, V>(n_rows - done, stride, v_stride, p + done * 32, factor + done, v, ahead, acc + done * stride);
    }
}

void values_simd(const TileSpec & spec, const uint8_t * tile, const Operand & v, int n_rows, const float * p,
                 const float * factor, const float * sum, Ahead & ahead, float * acc, float * constant) {
    if (spec.is_f16) {
        if (v.packed) {
            pv_rows<kRowsPv>(n_rows, spec.stride, spec.head_dim, p, factor, reinterpret_cast<const uint16_t *>(v.at), ahead, acc);
        } else {
            pv_rows<kRowsPv>(n_rows, spec.stride, spec.stride, p, factor, reinterpret_cast<const float *>(v.at), ahead, acc);
        }
    } else if (spec.bits > kNarrowBits) {
        weighted_all<kRowsDot, false, 8>(spec, tile, v.at, n_rows, p, factor, ahead, acc, constant);
    } else if (kPackedCodeRows == 0 || !v.packed) {
        weighted_narrow<8>(spec, tile, v.at, n_rows, p, factor, sum, ahead, acc, constant);
    } else if constexpr (kPackedCodeRows > 0) {
        if (spec.bits == 4) {
            weighted_narrow<4>(spec, tile, v.at, n_rows, p, factor, sum, ahead, acc, constant);
        } else {
            weighted_narrow<2>(spec, tile, v.at, n_rows, p, factor, sum, ahead, acc, constant);
        }
    }
}

}  // namespace
}  // namespace kvt
