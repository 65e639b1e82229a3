// q . k of one ISA: integer dot products over packed codes, float sums over f16 parts.
//
// Register blocking (simd_*.h): kRowsDot query rows x 2 parts x 2 vectors of tokens for integers, kRowsQk rows x 2 vectors for
// floats, so that accumulators, operands and one broadcast fit the register file.

namespace kvt {
namespace {

// --- Queries as integers ---

// R rows of integers: x = q, times `scale` if there is one.
template <int R>
struct Rounding {
    const float * q;  // [R][stride]
    const float * scale;
    int           stride;
    int8_t *      parts;  // [R][2 * stride]
    float         step[R], inverse[R];
};

// Rounds x[first .. last) to steps, both multiples of 16. `rest`: what rounding left over, lane by lane, but for what is common
// to all: sum of x - step * i.
template <bool Narrow, int R>
inline void store_rounded(const Rounding<R> & to, int first, int last, F (&rest)[R]) {
    F sum[R];
    I whole[R];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        sum[r]   = zero();
        whole[r] = zero_words();
    }
    for (int d = first; d < last; d += 16) {
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            I i[kVecs16];
            KVT_UNROLL
            for (int v = 0; v < kVecs16; ++v) {
                const int at = d + v * kLanes;
                const F   q  = load(to.q + r * to.stride + at);
                const F   y  = to.scale != nullptr ? mul(q, load(to.scale + at)) : q;
                i[v]         = to_int(mul(y, set1(to.inverse[r])));
                sum[r]       = add(sum[r], y);
                whole[r]     = add_words(whole[r], i[v]);
            }
            int8_t * const row = to.parts + static_cast<ptrdiff_t>(r) * 2 * to.stride;
            if constexpr (Narrow) {
                store_narrow(row, d, i);
            } else {
                store_wide(row, to.stride, d, i);
            }
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) rest[r] = sub(sum[r], mul(to_float(whole[r]), set1(to.step[r])));
}

// Scales and offsets of a per-channel tile as floats, zero past head_dim.
struct ChannelParams {
    float s[1024], z[1024];
};

inline void load_channels(const TileSpec & spec, const uint8_t * tile, ChannelParams & out) {
    int d = 0;
    for (; d + kLanes <= spec.head_dim; d += kLanes) {
        store(out.s + d, load_f16(tile + spec.scales_at + 2 * static_cast<size_t>(d)));
        store(out.z + d, load_f16(tile + spec.offsets_at + 2 * static_cast<size_t>(d)));
    }
    for (; d < spec.stride; ++d) {
        out.s[d] = d < spec.head_dim ? half_at(tile + spec.scales_at + 2 * static_cast<size_t>(d)) : 0.0f;
        out.z[d] = d < spec.head_dim ? half_at(tile + spec.offsets_at + 2 * static_cast<size_t>(d)) : 0.0f;
    }
}

// R rows side by side: one row alone waits for its maximum and its sums most of the time. `channels` is null for per_token
// formats. NaN in q, s or z is kept out of `top` and returns through `constant`: the encoder never stores a NaN scale without a
// NaN offset.
template <bool Narrow, int R>
inline void prepare_rows(const TileSpec & spec, const ChannelParams * channels, const QueryRows & rows, int r0) {
    const float limit  = static_cast<float>(Narrow ? kQueryLimitNarrow : kQueryLimit);
    const float middle = 0.5f * static_cast<float>((1 << spec.bits) - 1);
    Rounding<R> to{rows.q + static_cast<ptrdiff_t>(r0) * rows.stride,
                   channels != nullptr ? channels->s : nullptr,
                   rows.stride,
                   rows.parts + static_cast<ptrdiff_t>(r0) * 2 * rows.stride,
                   {},
                   {}};
    F           top[R], constant[R], rest[R];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) top[r] = constant[r] = zero();
    for (int d = 0; d < spec.stride; d += kLanes) {
        const F s = channels != nullptr ? load(channels->s + d) : set1(1.0f);
        const F z = channels != nullptr ? load(channels->z + d) : zero();
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            const F q   = load(to.q + r * rows.stride + d);
            top[r]      = max(abs(mul(q, s)), top[r]);
            constant[r] = fma(q, z, constant[r]);
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        const float largest = reduce_max(top[r]);
        to.inverse[r]       = largest > 0.0f ? limit / largest : 0.0f;
        to.step[r] = rows.step[r0 + r] = largest / limit;
    }
    float * shift  = rows.shift + static_cast<ptrdiff_t>(r0) * rows.max_groups;
    float * weight = rows.weight + static_cast<ptrdiff_t>(r0) * rows.max_groups;
    if (channels != nullptr) {
        store_rounded<Narrow, R>(to, 0, spec.stride, rest);
        KVT_UNROLL
        for (int r = 0; r < R; ++r) shift[r * rows.max_groups] = reduce_add(fma(rest[r], set1(middle), constant[r]));
        return;
    }
    for (int g = 0; g < spec.n_groups; ++g) {
        const int first = g * spec.group, last = g + 1 == spec.n_groups ? spec.stride : first + spec.group;
        store_rounded<Narrow, R>(to, first, last, rest);
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            F sum = zero();
            for (int d = first; d < last; d += kLanes) sum = add(sum, load(to.q + r * rows.stride + d));
            shift[r * rows.max_groups + g]  = reduce_add(fma(rest[r], set1(middle), constant[r]));
            weight[r * rows.max_groups + g] = reduce_add(sum);
        }
    }
}

template <bool Narrow>
inline void prepare_all(const TileSpec & spec, const ChannelParams * channels, const QueryRows & rows) {
    int r = 0;
    for (; r + 4 <= rows.n_rows; r += 4) prepare_rows<Narrow, 4>(spec, channels, rows, r);
    for (; r < rows.n_rows; ++r) prepare_rows<Narrow, 1>(spec, channels, rows, r);
}

void prepare_queries_simd(const TileSpec & spec, const uint8_t * tile, const QueryRows & rows) {
    if (spec.is_f16) return;
    ChannelParams channels;
    if (spec.per_channel) load_channels(spec, tile, channels);
    const ChannelParams * params = spec.per_channel ? &channels : nullptr;
    if (spec.bits <= kNarrowBits) {
        prepare_all<true>(spec, params, rows);
    } else {
        prepare_all<false>(spec, params, rows);
    }
}

// R rows, quads first .. last-1, tokens t0 .. t0 + 2 vectors: out[r][v] = sum of i * code.
template <int R>
inline void dot_wide(const uint8_t * words, const int8_t * parts, int stride, int first, int last, Ahead & ahead,
                     I (&out)[R][2]) {
    WideSum sum[R][2];
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int v = 0; v < 2; ++v) sum[r][v] = WideSum{};
    }
    for (int quad = first; quad < last; ++quad) {
        if (quad % kQuadsPerPortion == 0) fetch(ahead);
        const WideCodes c0 = wide_codes(load_words(words + static_cast<size_t>(quad) * 128));
        const WideCodes c1 = wide_codes(load_words(words + static_cast<size_t>(quad) * 128 + 4 * kLanes));
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            const int8_t * row = parts + static_cast<ptrdiff_t>(r) * 2 * stride;
            add_wide(sum[r][0], c0, row, stride, quad);
            add_wide(sum[r][1], c1, row, stride, quad);
        }
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int v = 0; v < 2; ++v) out[r][v] = total(sum[r][v]);
    }
}

// Quads past the last one, of a row of packed words, meet integers that are 0.
template <int R, int Bits>
inline void dot_narrow(const uint8_t * words, const int8_t * parts, int stride, int first, int last, Ahead & ahead,
                       I (&out)[R][2]) {
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        KVT_UNROLL
        for (int v = 0; v < 2; ++v) out[r][v] = zero_words();
    }
    for (int quad = first; quad < last;) {
        const int stop = last - quad < kNarrowQuads ? last : quad + kNarrowQuads;
        I         sum[R][2];
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            KVT_UNROLL
            for (int v = 0; v < 2; ++v) sum[r][v] = zero_words();
        }
        for (; quad < stop; quad += kQuadsOfRow<Bits>) {
            if (quad % kQuadsPerPortion == 0) fetch(ahead);
            const uint8_t * from = words + static_cast<size_t>(quad / kQuadsOfRow<Bits>) * 128;
            const I         w0 = load_words(from), w1 = load_words(from + 4 * kLanes);
            KVT_UNROLL
            for (int i = 0; i < kQuadsOfRow<Bits>; ++i) {
                const I c0 = codes_of<Bits>(w0, i), c1 = codes_of<Bits>(w1, i);
                KVT_UNROLL
                for (int r = 0; r < R; ++r) {
                    const int8_t * row = parts + static_cast<ptrdiff_t>(r) * 2 * stride;
                    sum[r][0]          = add_narrow(sum[r][0], c0, row, quad + i);
                    sum[r][1]          = add_narrow(sum[r][1], c1, row, quad + i);
                }
            }
        }
        KVT_UNROLL
        for (int r = 0; r < R; ++r) {
            KVT_UNROLL
            for (int v = 0; v < 2; ++v) out[r][v] = add_words(out[r][v], widened(sum[r][v]));
        }
    }
}

template <int R, bool Narrow, int Bits>
inline void score_rows(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, const QueryRows & rows, int r0,
                       Ahead & ahead, float * scores) {
    const int n_groups = spec.per_channel ? 1 : spec.n_groups;
    const int n_quads = (spec.head_dim + 3) / 4, group_quads = n_groups == 1 ? n_quads : spec.group / 4;
    for (int t = 0; t < 32; t += 2 * kLanes) {
        for (int g = 0; g < n_groups; ++g) {
            I               sums[R][2];
            const int       last = (g + 1) * group_quads < n_quads ? (g + 1) * group_quads : n_quads;
            const uint8_t * from = words + static_cast<size_t>(t) * 4;
            const int8_t *  row0 = rows.parts + static_cast<ptrdiff_t>(r0) * 2 * rows.stride;
            if constexpr (Narrow) {
                dot_narrow<R, Bits>(from, row0, rows.stride, g * group_quads, last, ahead, sums);
            } else {
                dot_wide<R>(from, row0, rows.stride, g * group_quads, last, ahead, sums);
            }
            KVT_UNROLL
            for (int v = 0; v < 2; ++v) {
                const int        at = t + v * kLanes;
                const ScaleLanes p  = spec.per_channel ? ScaleLanes{zero(), zero()} : load_scales(spec, tile, g * 32 + at);
                KVT_UNROLL
                for (int r = 0; r < R; ++r) {
                    const int row = r0 + r, i = row * rows.max_groups + g;
                    float *   out = scores + row * 32 + at;
                    const F   x   = fma(to_float(sums[r][v]), set1(rows.step[row]), set1(rows.shift[i]));
                    if (spec.per_channel) {
                        store(out, x);
                    } else {
                        const F y = fma(p.s, x, mul(p.z, set1(rows.weight[i])));
                        store(out, g == 0 ? y : add(y, load(out)));
                    }
                }
            }
        }
    }
}

template <int R, bool Narrow, int Bits>
inline void score_all(const TileSpec & spec, const uint8_t * tile, const uint8_t * words, const QueryRows & rows, int r0,
                      Ahead & ahead, float * scores) {
    for (; r0 + R <= rows.n_rows; r0 += R) score_rows<R, Narrow, Bits>(spec, tile, words, rows, r0, ahead, scores);
    if constexpr (R > 1) {
        if (r0 < rows.n_rows) score_all<R / 2, Narrow, Bits>(spec, tile, words, rows, r0, ahead, scores);
    }
}

// --- Floats ---

// R rows x 2 vectors of tokens. K: float, or f16_t as the tile stores it.
template <int R, class K>
inline void qk_block(int head_dim, const float * q, int q_stride, const K * k, Ahead & ahead, float * scores) {
    F acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = zero();
    for (int d = 0; d < head_dim; ++d) {
        if (d % (4 * kQuadsPerPortion) == 0) fetch(ahead);
        const F k0 = load_as_float(k + d * 32), k1 = load_as_float(k + d * 32 + kLanes);
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

template <int R, class K>
inline void qk_rows(int n_rows, int head_dim, const float * q, int q_stride, const K * k, Ahead & ahead, float * scores) {
    for (int r = 0; r + R <= n_rows; r += R) {
        for (int t = 0; t < 32; t += 2 * kLanes)
            qk_block<R, K>(head_dim, q + r * q_stride, q_stride, k + t, ahead, scores + r * 32 + t);
    }
    if constexpr (R > 1) {
        const int done = n_rows / R * R;
        if (done < n_rows)
            qk_rows<R / 2, K>(n_rows - done, head_dim, q + done * q_stride, q_stride, k, ahead, scores + done * 32);
    }
}

void scores_simd(const TileSpec & spec, const uint8_t * tile, const Operand & k, const QueryRows & rows, Ahead & ahead,
                 float * scores) {
    if (spec.is_f16) {
        const auto block = [&](const auto * from) {
            qk_rows<kRowsQk>(rows.n_rows, spec.head_dim, rows.q, rows.stride, from, ahead, scores);
        };
        if (k.packed) {
            block(reinterpret_cast<const uint16_t *>(k.at));
        } else {
            block(reinterpret_cast<const float *>(k.at));
        }
    } else if (spec.bits > kNarrowBits) {
        score_all<kRowsDot, false, 8>(spec, tile, k.at, rows, 0, ahead, scores);
    } else if (kPackedCodeRows == 0 || !k.packed) {
        score_all<kRowsOneDot, true, 8>(spec, tile, k.at, rows, 0, ahead, scores);
    } else if constexpr (kPackedCodeRows > 0) {
        if (spec.bits == 4) {
            score_all<kRowsOneDot, true, 4>(spec, tile, k.at, rows, 0, ahead, scores);
        } else {
            score_all<kRowsOneDot, true, 2>(spec, tile, k.at, rows, 0, ahead, scores);
        }
    }
}

}  // namespace
}  // namespace kvt
