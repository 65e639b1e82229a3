// Encoders of one ISA, written on the vectors of its simd_*.h; same bytes as quant/codec.cc.
//
// All operations (subtract, multiply, divide, round half to even, clamp, f16 rounding) are IEEE-exact, each element sees them in
// the order of the specification, and none is fused, so equality holds by construction; tests/unit/kernels checks it.

namespace kvt {
namespace {

constexpr float kInfinity = __builtin_inff();

// --- Parameters of a group ---

// Range of one group and whether it is finite: x * 0 is NaN for infinities and NaN, and stays NaN in the sum.
struct GroupRange {
    float lo, hi, poison;
};

inline GroupRange scan_group(const float * x, int n) {
    F   lo = set1(kInfinity), hi = set1(-kInfinity), poison = zero();
    int i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        const F v = load(x + i);
        lo        = min(lo, v);
        hi        = max(hi, v);
        poison    = add(poison, mul(v, zero()));
    }
    GroupRange range{reduce_min(lo), reduce_max(hi), reduce_add(poison)};
    for (; i < n; ++i) {
        range.lo = x[i] < range.lo ? x[i] : range.lo;
        range.hi = x[i] > range.hi ? x[i] : range.hi;
        range.poison += x[i] * 0.0f;
    }
    return range;
}

// Scale and offset as stored and as the encoder uses them. A group that cannot be encoded has s = z = 0 and finite = false.
struct StoredParams {
    uint16_t s_stored, z_stored;
    float    s, z;
    bool     finite;
};

inline StoredParams f16_params(const GroupRange & range, int bits) {
    const uint16_t z16    = float_to_half(range.lo + 0.0f);  // +0 for -0
    const float    step   = (range.hi - range.lo) / static_cast<float>((1 << bits) - 1);
    const uint16_t s16    = float_to_half(step);
    const bool     finite = range.poison == 0.0f && (z16 & 0x7c00) != 0x7c00 && (s16 & 0x7c00) != 0x7c00;
    if (!finite) return {0x7e00, 0x7e00, 0.0f, 0.0f, false};
    return {s16, z16, half_to_float(s16), half_to_float(z16), true};
}

inline StoredParams byte_params(const GroupRange & range, int bits, float shrink) {
    const float    lo = range.lo < 0.0f ? range.lo : 0.0f, hi = range.hi > 0.0f ? range.hi : 0.0f;
    const float    n    = static_cast<float>((1 << bits) - 1);
    const uint16_t step = float_to_half((hi - lo) * shrink / n);
    if (range.poison != 0.0f || (step & 0x7c00) == 0x7c00) return {0x7e00 >> 7, 0x7e00 >> 7, 0.0f, 0.0f, false};
    const int      nearest = (step + (bits >= 6 ? 127 : 64)) >> 7;
    const uint16_t scale   = static_cast<uint16_t>(nearest < 247 ? nearest : 247);
    const float    s       = half_to_float(static_cast<uint16_t>(scale << 7));
    if (s == 0.0f) return {0, 0, 0.0f, 0.0f, true};
    const float unit  = s * (static_cast<float>(1 << bits) / 256.0f);
    const float start = (lo + hi) * 0.5f - s * (n * 0.5f);
    const float steps = __builtin_nearbyintf(-start / unit);
    const float count = steps < 0.0f ? 0.0f : steps > 255.0f ? 255.0f : steps;
    return {scale, static_cast<uint16_t>(count), s, -count * unit, true};
}

inline StoredParams group_params(const TileSpec & spec, const GroupRange & range) {
    return spec.byte_params ? byte_params(range, spec.bits, spec.shrink) : f16_params(range, spec.bits);
}

inline void put_params(const TileSpec & spec, int index, const StoredParams & p, uint8_t * tile) {
    if (spec.byte_params) {
        tile[spec.scales_at + static_cast<size_t>(index)]  = static_cast<uint8_t>(p.s_stored);
        tile[spec.offsets_at + static_cast<size_t>(index)] = static_cast<uint8_t>(p.z_stored);
    } else {
        __builtin_memcpy(tile + spec.scales_at + 2 * static_cast<size_t>(index), &p.s_stored, 2);
        __builtin_memcpy(tile + spec.offsets_at + 2 * static_cast<size_t>(index), &p.z_stored, 2);
    }
}

// --- Codes ---

// Codes of lanes; s must not be zero.
inline I quantize(F x, F s, F z, F top) { return to_int(min(max(div(sub(x, z), s), zero()), top)); }

// Codes of one group as bytes; writes up to the next multiple of the vector width in `codes`.
inline void quantize_group(const float * x, int n, const StoredParams & p, int bits, uint8_t * codes) {
    const float top = static_cast<float>((1 << bits) - 1);
    if (!p.finite || p.s == 0.0f) {
        __builtin_memset(codes, 0, static_cast<size_t>(n));
        return;
    }
    int i = 0;
    for (; i + kLanes <= n; i += kLanes) store_bytes(codes + i, quantize(load(x + i), set1(p.s), set1(p.z), set1(top)));
    if (i < n) {
        float   last[kLanes];
        uint8_t bytes[16];
        for (int j = 0; j < kLanes; ++j) last[j] = i + j < n ? x[i + j] : p.z;
        store_bytes(bytes, quantize(load(last), set1(p.s), set1(p.z), set1(top)));
        for (int j = 0; i + j < n; ++j) codes[i + j] = bytes[j];
    }
}

// Codes of one row with feedback: lanes run over the channels still to come.   params [n_groups]
inline void feed_back_row(const TileSpec & spec, const float * row, const uint16_t * feedback, const StoredParams * params,
                          uint8_t * codes) {
    float       target[1024 + 16];
    const float top = static_cast<float>((1 << spec.bits) - 1);
    for (int d = 0; d < spec.head_dim; ++d) target[d] = row[d];
    for (int d = spec.head_dim; d < spec.stride; ++d) target[d] = 0.0f;
    for (int i = spec.head_dim - 1; i >= 0; --i) {
        const StoredParams & p    = params[i / spec.group];
        float                code = 0.0f;
        if (p.s != 0.0f) {
            const float steps = __builtin_nearbyintf((target[i] - p.z) / p.s);
            code              = steps < 0.0f ? 0.0f : steps > top ? top : steps;
        }
        codes[i] = static_cast<uint8_t>(code);
        if (!p.finite) continue;
        const F          error = set1(code * p.s + p.z - row[i]);
        const uint16_t * f     = feedback + static_cast<ptrdiff_t>(i) * spec.stride;
        for (int j = 0; j < i; j += kLanes)
            store(target + j, sub(load(target + j), mul(load_f16(f + j), error)));  // f is 0 from i on
    }
}

// What feed_back_block() knows of one channel: scale and offset of each lane, and 1 where they are usable (else 0).
struct LaneParams {
    F s, z, usable;
};

// Codes of kLanes rows with feedback: lanes run over rows.   x [head_dim][kLanes], codes as words [head_dim] vectors
// Errors of kBlock channels are worked out first and then brought to the others in one pass, in the same order.
template <class ParamsOf>
inline void feed_back_block(const TileSpec & spec, const float * x, const uint16_t * feedback, const ParamsOf & params_of,
                            I * codes) {
    constexpr int kBlock = 8;
    const F       top    = set1(static_cast<float>((1 << spec.bits) - 1));
    float         target[1024 * kLanes];
    __builtin_memcpy(target, x, sizeof(float) * static_cast<size_t>(spec.head_dim) * kLanes);
    for (int last = spec.head_dim; last > 0; last -= kBlock) {
        const int first = last > kBlock ? last - kBlock : 0;
        F         errors[kBlock];
        float     f[kBlock][1024];  // rows last-1 .. first of the feedback
        for (int i = first; i < last; ++i) {
            for (int j = 0; j < i; j += kLanes)
                store(f[last - 1 - i] + j, load_f16(feedback + static_cast<ptrdiff_t>(i) * spec.stride + j));
        }
        for (int i = last - 1; i >= first; --i) {
            const LaneParams p = params_of(i);
            // Where s is 0 the quotient is not a number or infinite: the code is 0 there.
            const I code =
                to_int(select_eq(p.s, zero(), zero(), min(max(div(sub(load(target + i * kLanes), p.z), p.s), zero()), top)));
            codes[i]  = code;
            const F e = select_eq(p.usable, zero(), zero(), sub(add(mul(to_float(code), p.s), p.z), load(x + i * kLanes)));
            errors[last - 1 - i] = e;
            for (int j = i - 1; j >= first; --j)
                store(target + j * kLanes, sub(load(target + j * kLanes), mul(set1(f[last - 1 - i][j]), e)));
        }
        for (int j = 0; j < first; ++j) {
            F t = load(target + j * kLanes);
            for (int i = last - 1; i >= first; --i) t = sub(t, mul(set1(f[last - 1 - i][j]), errors[last - 1 - i]));
            store(target + j * kLanes, t);
        }
    }
}

// --- Places ---

// One plane of one token of a key tile: each 32-bit word belongs to this token alone, so words are built whole.
//   from  bit of the code where the plane starts
inline void place_key_plane(int head_dim, int t, const uint8_t * codes, int from, int bits, uint8_t * plane) {
    const int      quads = (head_dim + 3) / 4, sharing = 8 / bits;
    const uint32_t mask = ((1u << bits) - 1u) * 0x01010101u;
    for (int first = 0, word_row = 0; first < quads; first += sharing, ++word_row) {
        uint32_t word = 0;
        for (int p = 0; p < sharing && first + p < quads; ++p) {
            uint32_t four;
            __builtin_memcpy(&four, codes + 4 * (first + p), 4);
            word |= (four >> from & mask) << (p * bits);
        }
        __builtin_memcpy(plane + (static_cast<size_t>(word_row) * 32 + static_cast<size_t>(t)) * 4, &word, 4);
    }
}

// One plane of one token of a value tile: its codes are bytes (or parts of bytes) four apart.
inline void place_value_plane(int head_dim, int t, const uint8_t * codes, int from, int bits, uint8_t * plane) {
    const int quad = t / 4, sharing = 8 / bits, shift = quad % sharing * bits, mask = (1 << bits) - 1;
    uint8_t * row = plane + static_cast<size_t>(quad / sharing) * static_cast<size_t>(head_dim) * 4 + t % 4;
    if (bits == 8) {
        for (int d = 0; d < head_dim; ++d) row[4 * d] = codes[d];
        return;
    }
    const int keep = ~(mask << shift);
    for (int d = 0; d < head_dim; ++d)
        row[4 * d] = static_cast<uint8_t>((row[4 * d] & keep) | ((codes[d] >> from & mask) << shift));
}

inline void place_codes(const TileSpec & spec, int t, const uint8_t * codes, uint8_t * tile) {
    const auto place = spec.side == Side::key ? place_key_plane : place_value_plane;
    place(spec.head_dim, t, codes, 0, spec.low_bits, tile);
    if (spec.high_bits > 0) place(spec.head_dim, t, codes, spec.low_bits, spec.high_bits, tile + spec.high_at);
}

// --- Rows of per-token formats ---

// Token t of an f16 tile of any number of parts.
Encoded encode_f16_token(const TileSpec & spec, int t, const float * row, uint8_t * tile) {
    uint16_t * cells = reinterpret_cast<uint16_t *>(tile) + static_cast<size_t>(t / 32) * 32 * static_cast<size_t>(spec.head_dim);
    const size_t token  = static_cast<size_t>(t % 32);
    const size_t step   = spec.side == Side::key ? 32 : 1;
    const size_t origin = spec.side == Side::key ? token : token * static_cast<size_t>(spec.head_dim);
    bool         finite = true;
    for (int d = 0; d < spec.head_dim; ++d) {
        const uint16_t half                           = float_to_half(row[d]);
        finite                                        = finite && (half & 0x7c00) != 0x7c00;
        cells[origin + static_cast<size_t>(d) * step] = half;
    }
    return finite ? Encoded::ok : Encoded::not_finite;
}

// Works out and stores the parameters of one token.   params [n_groups]
inline Encoded store_token_params(const TileSpec & spec, int t, const float * row, StoredParams * params, uint8_t * tile) {
    Encoded result = Encoded::ok;
    for (int g = 0; g < spec.n_groups; ++g) {
        const int first = g * spec.group, n = spec.group < spec.head_dim - first ? spec.group : spec.head_dim - first;
        params[g] = group_params(spec, scan_group(row + first, n));
        if (!params[g].finite) result = Encoded::not_finite;
        put_params(spec, g * 32 + t, params[g], tile);
    }
    return result;
}

Encoded encode_token_simd(const TileSpec & spec, int t, const float * row, const uint16_t * feedback, uint8_t * tile) {
    if (spec.is_f16) return encode_f16_token(spec, t, row, tile);
    uint8_t       codes[1024 + 16];
    StoredParams  params[64];  // 1024 channels in groups of 16
    const Encoded result = store_token_params(spec, t, row, params, tile);
    if (feedback != nullptr) {
        feed_back_row(spec, row, feedback, params, codes);
    } else {
        for (int g = 0; g < spec.n_groups; ++g) {
            const int first = g * spec.group, n = spec.group < spec.head_dim - first ? spec.group : spec.head_dim - first;
            quantize_group(row + first, n, params[g], spec.bits, codes + first);
        }
    }
    for (int d = spec.head_dim; d % 4 != 0; ++d) codes[d] = 0;
    place_codes(spec, t, codes, tile);
    return result;
}

// kLanes rows with feedback at once: 5 times the speed of one by one.
inline Encoded encode_lanes(const TileSpec & spec, const uint16_t * feedback, const float * rows, ptrdiff_t row_stride,
                            const TokenPlace * places) {
    float   x[1024 * kLanes], s[64 * kLanes], z[64 * kLanes], usable[64 * kLanes];
    I       words[1024];
    Encoded result = Encoded::ok;
    for (int lane = 0; lane < kLanes; ++lane) {
        const float * row = rows + lane * row_stride;
        StoredParams  params[64];
        if (store_token_params(spec, places[lane].token, row, params, places[lane].tile) != Encoded::ok)
            result = Encoded::not_finite;
        for (int g = 0; g < spec.n_groups; ++g) {
            s[g * kLanes + lane]      = params[g].s;
            z[g * kLanes + lane]      = params[g].z;
            usable[g * kLanes + lane] = params[g].finite ? 1.0f : 0.0f;
        }
        for (int d = 0; d < spec.head_dim; ++d) x[d * kLanes + lane] = row[d];
    }
    feed_back_block(
        spec, x, feedback,
        [&](int d) {
            const int at = d / spec.group * kLanes;
            return LaneParams{load(s + at), load(z + at), load(usable + at)};
        },
        words);
    uint8_t by_channel[1024 * kLanes + 16];
    for (int d = 0; d < spec.head_dim; ++d) store_bytes(by_channel + d * kLanes, words[d]);
    for (int lane = 0; lane < kLanes; ++lane) {
        uint8_t codes[1024 + 16];
        for (int d = 0; d < spec.head_dim; ++d) codes[d] = by_channel[d * kLanes + lane];
        for (int d = spec.head_dim; d % 4 != 0; ++d) codes[d] = 0;
        place_codes(spec, places[lane].token, codes, places[lane].tile);
    }
    return result;
}

Encoded encode_tokens_simd(const TileSpec & spec, const uint16_t * feedback, int n, const float * rows, ptrdiff_t row_stride,
                           const TokenPlace * places) {
    Encoded result = Encoded::ok;
    int     i      = 0;
    if (feedback != nullptr && !spec.is_f16) {
        for (; i + kLanes <= n; i += kLanes) {
            if (encode_lanes(spec, feedback, rows + i * row_stride, row_stride, places + i) != Encoded::ok)
                result = Encoded::not_finite;
        }
    }
    for (; i < n; ++i) {
        if (encode_token_simd(spec, places[i].token, rows + i * row_stride, feedback, places[i].tile) != Encoded::ok)
            result = Encoded::not_finite;
    }
    return result;
}

// --- Sealed blocks ---

// A full per-channel key block of spec.n_parts parts. Codes of the four channels of a quad meet in 32-bit words, which are then
// cut into planes.
Encoded encode_channels_simd(const TileSpec & spec, const uint16_t * src, const uint16_t * feedback, uint8_t * tile) {
    constexpr int kVecs       = 32 / kLanes;
    const int     n_vecs      = spec.n_parts * kVecs;
    const size_t  part_halves = static_cast<size_t>(spec.head_dim) * 32;
    Encoded       result      = Encoded::ok;
    float         s[1024], z[1024], usable[1024];
    I             words[1024];
    float         x[1024 * kLanes];
    const auto    source = [&](int d, int v) {
        return src + static_cast<size_t>(v / kVecs) * part_halves + static_cast<size_t>(d) * 32 +
               static_cast<size_t>(v % kVecs) * kLanes;
    };
    __builtin_memset(tile, 0, spec.bytes);
    for (int d = 0; d < spec.head_dim; ++d) {
        float column[kMaxParts * 32];
        for (int v = 0; v < n_vecs; ++v) store(column + v * kLanes, load_f16(source(d, v)));
        const StoredParams p = group_params(spec, scan_group(column, n_vecs * kLanes));
        if (!p.finite) result = Encoded::not_finite;
        put_params(spec, d, p, tile);
        s[d]      = p.s;
        z[d]      = p.z;
        usable[d] = p.finite ? 1.0f : 0.0f;
    }
    const F top = set1(static_cast<float>((1 << spec.bits) - 1));
    for (int v = 0; v < n_vecs; ++v) {
        for (int d = 0; d < spec.head_dim; ++d) {
            const F value = load_f16(source(d, v));
            if (feedback != nullptr) {
                store(x + d * kLanes, value);
            } else {
                words[d] = s[d] == 0.0f ? zero_words() : quantize(value, set1(s[d]), set1(z[d]), top);
            }
        }
        if (feedback != nullptr) {
            feed_back_block(
                spec, x, feedback,
                [&](int d) {
                    return LaneParams{set1(s[d]), set1(z[d]), set1(usable[d])};
                },
                words);
        }
        const auto put = [&](int from, int bits, size_t plane_at) {
            const int sharing = 8 / bits, mask = static_cast<int>(((1u << bits) - 1u) * 0x01010101u);
            for (int quad = 0; 4 * quad < spec.head_dim; ++quad) {
                I four = zero_words();
                for (int j = 0; j < 4 && 4 * quad + j < spec.head_dim; ++j)
                    four = bit_or(four, shift_left(words[4 * quad + j], 8 * j));
                uint8_t * to = tile + static_cast<size_t>(v / kVecs) * spec.part_bytes + plane_at +
                               static_cast<size_t>(quad / sharing) * 128 + static_cast<size_t>(v % kVecs) * kLanes * 4;
                const I bits_of = shift_left(bit_and(shift_right(four, from), mask), quad % sharing * bits);
                store_words(to, bit_or(load_words(to), bits_of));
            }
        };
        put(0, spec.low_bits, 0);
        if (spec.high_bits > 0) put(spec.low_bits, spec.high_bits, spec.high_at);
    }
    return result;
}

Encoded encode_tile_simd(const TileSpec & spec, const uint16_t * src, const uint32_t * valid, const uint16_t * feedback,
                         uint8_t * tile) {
    bool full = true;
    for (int i = 0; i < spec.n_parts; ++i) full = full && valid[i] == 0xffffffffu;
    if (spec.per_channel && full) return encode_channels_simd(spec, src, feedback, tile);
    // Partly filled blocks are rare (a block evicted early), per-token keys in sealed blocks too: the specification serves them.
    if (spec.per_channel || spec.side == Side::key)
        return encode_tile(spec.format, spec.side, spec.head_dim, src, valid, feedback, tile);
    __builtin_memset(tile, 0, spec.bytes);
    float      rows[32 * 1024];
    TokenPlace places[32];
    int        n = 0;
    for (int t = 0; t < 32; ++t) {
        if ((valid[0] >> t & 1u) == 0) continue;
        const uint16_t * halves = src + static_cast<size_t>(t) * static_cast<size_t>(spec.head_dim);
        float *          row    = rows + n * spec.stride;
        int              d      = 0;
        for (; d + kLanes <= spec.head_dim; d += kLanes) store(row + d, load_f16(halves + d));
        for (; d < spec.head_dim; ++d) row[d] = half_to_float(halves[d]);
        places[n++] = {tile, t};
    }
    return encode_tokens_simd(spec, feedback, n, rows, spec.stride, places);
}

}  // namespace
}  // namespace kvt
