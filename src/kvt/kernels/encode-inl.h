// Encoders of one ISA, written on the vectors of its simd_*.h; same bits as quant/codec.cc.
//
// All operations (subtract, divide, round half to even, clamp, f16 rounding) are IEEE-exact and none is fused, so equality
// with the specification holds by construction; tests/unit/kernels checks it.

namespace kvt {
namespace {

constexpr float kInfinity = __builtin_inff();

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

// Scale and offset as stored (s16, z16) and as the encoder uses them.
struct StoredParams {
    uint16_t s16, z16;
    float    s, z;
    bool     finite;
};

inline StoredParams store_params(const GroupRange & range, int bits) {
    const uint16_t z16    = static_cast<uint16_t>(_cvtss_sh(range.lo, _MM_FROUND_TO_NEAREST_INT));
    const float    step   = (range.hi - range.lo) / static_cast<float>((1 << bits) - 1);
    const uint16_t s16    = static_cast<uint16_t>(_cvtss_sh(step, _MM_FROUND_TO_NEAREST_INT));
    const bool     finite = range.poison == 0.0f && (z16 & 0x7c00) != 0x7c00 && (s16 & 0x7c00) != 0x7c00;
    if (!finite) return {0x7e00, 0x7e00, 0.0f, 0.0f, false};
    return {s16, z16, _cvtsh_ss(s16), _cvtsh_ss(z16), true};
}

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

// One token of a key tile: each 32-bit word belongs to this token alone, so words are built whole.
inline void place_key_codes(const TileSpec & spec, int t, const uint8_t * codes, uint8_t * tile) {
    const int quads = (spec.head_dim + 3) / 4;
    for (int first = 0, word_row = 0; first < quads; first += spec.planes, ++word_row) {
        uint32_t word = 0;
        for (int p = 0; p < spec.planes && first + p < quads; ++p) {
            uint32_t four;
            __builtin_memcpy(&four, codes + 4 * (first + p), 4);
            word |= four << (p * spec.bits);
        }
        __builtin_memcpy(tile + (static_cast<size_t>(word_row) * 32 + static_cast<size_t>(t)) * 4, &word, 4);
    }
}

// One token of a value tile: its codes are bytes (or parts of bytes) four apart.
inline void place_value_codes(const TileSpec & spec, int t, const uint8_t * codes, uint8_t * tile) {
    const int quad  = t / 4;
    const int shift = (quad % spec.planes) * spec.bits;
    uint8_t * row   = tile + static_cast<size_t>(quad / spec.planes) * static_cast<size_t>(spec.head_dim) * 4 + t % 4;
    if (spec.bits == 8) {
        for (int d = 0; d < spec.head_dim; ++d) row[4 * d] = codes[d];
        return;
    }
    const int keep = ~(((1 << spec.bits) - 1) << shift);
    for (int d = 0; d < spec.head_dim; ++d) row[4 * d] = static_cast<uint8_t>((row[4 * d] & keep) | (codes[d] << shift));
}

Encoded encode_f16_token(const TileSpec & spec, int t, const float * row, uint8_t * tile) {
    uint16_t *   cells = reinterpret_cast<uint16_t *>(tile);
    const size_t step  = spec.side == Side::key ? 32 : 1;
    const size_t origin =
        spec.side == Side::key ? static_cast<size_t>(t) : static_cast<size_t>(t) * static_cast<size_t>(spec.head_dim);
    bool finite = true;
    for (int d = 0; d < spec.head_dim; ++d) {
        const uint16_t half                           = static_cast<uint16_t>(_cvtss_sh(row[d], _MM_FROUND_TO_NEAREST_INT));
        finite                                        = finite && (half & 0x7c00) != 0x7c00;
        cells[origin + static_cast<size_t>(d) * step] = half;
    }
    return finite ? Encoded::ok : Encoded::not_finite;
}

Encoded encode_token_simd(const TileSpec & spec, int t, const float * row, uint8_t * tile) {
    if (spec.is_f16) return encode_f16_token(spec, t, row, tile);
    uint8_t codes[1024 + 16];
    Encoded result = Encoded::ok;
    for (int g = 0; g < spec.n_groups; ++g) {
        const int          first = g * spec.group;
        const int          n     = spec.group < spec.head_dim - first ? spec.group : spec.head_dim - first;
        const StoredParams p     = store_params(scan_group(row + first, n), spec.bits);
        if (!p.finite) result = Encoded::not_finite;
        const size_t at = 2 * (static_cast<size_t>(g) * 32 + static_cast<size_t>(t));
        __builtin_memcpy(tile + spec.scales_at + at, &p.s16, 2);
        __builtin_memcpy(tile + spec.offsets_at + at, &p.z16, 2);
        quantize_group(row + first, n, p, spec.bits, codes + first);
    }
    for (int d = spec.head_dim; d % 4 != 0; ++d) codes[d] = 0;
    if (spec.side == Side::key) {
        place_key_codes(spec, t, codes, tile);
    } else {
        place_value_codes(spec, t, codes, tile);
    }
    return result;
}

// A full per-channel key block, four channels (one quad of words) at a time.
Encoded encode_channels_simd(const TileSpec & spec, const uint16_t * src, uint8_t * tile) {
    constexpr int kVecs  = 32 / kLanes;
    const F       top    = set1(static_cast<float>((1 << spec.bits) - 1));
    const int     quads  = (spec.head_dim + 3) / 4;
    Encoded       result = Encoded::ok;
    for (int first = 0, word_row = 0; first < quads; first += spec.planes, ++word_row) {
        I words[kVecs];
        for (int v = 0; v < kVecs; ++v) words[v] = zero_words();
        for (int p = 0; p < spec.planes && first + p < quads; ++p) {
            for (int j = 0; j < 4 && 4 * (first + p) + j < spec.head_dim; ++j) {
                const int d = 4 * (first + p) + j;
                float     x[32];
                for (int v = 0; v < kVecs; ++v) store(x + v * kLanes, load_f16(src + d * 32 + v * kLanes));
                const StoredParams params = store_params(scan_group(x, 32), spec.bits);
                if (!params.finite) result = Encoded::not_finite;
                const size_t at = 2 * static_cast<size_t>(d);
                __builtin_memcpy(tile + spec.scales_at + at, &params.s16, 2);
                __builtin_memcpy(tile + spec.offsets_at + at, &params.z16, 2);
                if (params.s == 0.0f) continue;
                for (int v = 0; v < kVecs; ++v) {
                    const I code = quantize(load(x + v * kLanes), set1(params.s), set1(params.z), top);
                    words[v]     = bit_or(words[v], shift_left(code, 8 * j + p * spec.bits));
                }
            }
        }
        for (int v = 0; v < kVecs; ++v)
            store_words(tile + static_cast<size_t>(word_row) * 128 + static_cast<size_t>(v) * kLanes * 4, words[v]);
    }
    const size_t used = spec.offsets_at + 2 * static_cast<size_t>(spec.head_dim);
    __builtin_memset(tile + used, 0, spec.bytes - used);
    return result;
}

Encoded encode_tile_simd(const TileSpec & spec, const uint16_t * src, uint32_t valid, uint8_t * tile) {
    if (spec.per_channel && valid == 0xffffffffu) return encode_channels_simd(spec, src, tile);
    // Partly filled blocks are rare (a block evicted early): the specification itself serves them.
    if (spec.per_channel || spec.side == Side::key) return encode_tile(spec.format, spec.side, spec.head_dim, src, valid, tile);
    __builtin_memset(tile, 0, spec.bytes);
    float   row[1024 + 16];
    Encoded result = Encoded::ok;
    for (int t = 0; t < 32; ++t) {
        if ((valid >> t & 1u) == 0) continue;
        const uint16_t * halves = src + static_cast<size_t>(t) * static_cast<size_t>(spec.head_dim);
        int              d      = 0;
        for (; d + kLanes <= spec.head_dim; d += kLanes) store(row + d, load_f16(halves + d));
        for (; d < spec.head_dim; ++d) row[d] = _cvtsh_ss(halves[d]);
        if (encode_token_simd(spec, t, row, tile) != Encoded::ok) result = Encoded::not_finite;
    }
    return result;
}

}  // namespace
}  // namespace kvt
