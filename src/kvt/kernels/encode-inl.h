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

// Token t of an f16 tile of any number of parts.
Encoded encode_f16_token(const TileSpec & spec, int t, const float * row, uint8_t * tile) {
    uint16_t * cells = reinterpret_cast<uint16_t *>(tile) + static_cast<size_t>(t / 32) * 32 * static_cast<size_t>(spec.head_dim);
    const size_t token  = static_cast<size_t>(t % 32);
    const size_t step   = spec.side == Side::key ? 32 : 1;
    const size_t origin = spec.side == Side::key ? token : token * static_cast<size_t>(spec.head_dim);
    bool         finite = true;
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
    place_codes(spec, t, codes, tile);
    return result;
}

// A full per-channel key block of spec.n_parts parts. Channels are quantized one after the other; the codes of the four of a
// quad meet in 32-bit words, which are then cut into planes.
Encoded encode_channels_simd(const TileSpec & spec, const uint16_t * src, uint8_t * tile) {
    constexpr int kVecs    = 32 / kLanes;
    constexpr int kMaxVecs = kMaxParts * kVecs;
    const F       top      = set1(static_cast<float>((1 << spec.bits) - 1));
    const int     quads = (spec.head_dim + 3) / 4, n_vecs = spec.n_parts * kVecs;
    const size_t  part_halves = static_cast<size_t>(spec.head_dim) * 32;
    Encoded       result      = Encoded::ok;
    __builtin_memset(tile, 0, spec.bytes);
    for (int quad = 0; quad < quads; ++quad) {
        I words[kMaxVecs];
        for (int v = 0; v < n_vecs; ++v) words[v] = zero_words();
        for (int j = 0; j < 4 && 4 * quad + j < spec.head_dim; ++j) {
            const int d = 4 * quad + j;
            float     x[kMaxVecs * kLanes];
            for (int v = 0; v < n_vecs; ++v)
                store(x + v * kLanes, load_f16(src + static_cast<size_t>(v / kVecs) * part_halves + d * 32 + v % kVecs * kLanes));
            const StoredParams params = store_params(scan_group(x, n_vecs * kLanes), spec.bits);
            if (!params.finite) result = Encoded::not_finite;
            const size_t at = 2 * static_cast<size_t>(d);
            __builtin_memcpy(tile + spec.scales_at + at, &params.s16, 2);
            __builtin_memcpy(tile + spec.offsets_at + at, &params.z16, 2);
            if (params.s == 0.0f) continue;
            for (int v = 0; v < n_vecs; ++v) {
                const I code = quantize(load(x + v * kLanes), set1(params.s), set1(params.z), top);
                words[v]     = bit_or(words[v], shift_left(code, 8 * j));
            }
        }
        const auto put = [&](int from, int bits, size_t plane_at) {
            const int sharing = 8 / bits, mask = ((1 << bits) - 1) * 0x01010101;
            for (int v = 0; v < n_vecs; ++v) {
                uint8_t * to = tile + static_cast<size_t>(v / kVecs) * spec.part_bytes + plane_at +
                               static_cast<size_t>(quad / sharing) * 128 + static_cast<size_t>(v % kVecs) * kLanes * 4;
                const I bits_of = shift_left(bit_and(shift_right(words[v], from), mask), quad % sharing * bits);
                store_words(to, bit_or(load_words(to), bits_of));
            }
        };
        put(0, spec.low_bits, 0);
        if (spec.high_bits > 0) put(spec.low_bits, spec.high_bits, spec.high_at);
    }
    return result;
}

Encoded encode_tile_simd(const TileSpec & spec, const uint16_t * src, const uint32_t * valid, uint8_t * tile) {
    bool full = true;
    for (int i = 0; i < spec.n_parts; ++i) full = full && valid[i] == 0xffffffffu;
    if (spec.per_channel && full) return encode_channels_simd(spec, src, tile);
    // Partly filled blocks are rare (a block evicted early): the specification itself serves them.
    if (spec.per_channel || spec.side == Side::key) return encode_tile(spec.format, spec.side, spec.head_dim, src, valid, tile);
    __builtin_memset(tile, 0, spec.bytes);
    float   row[1024 + 16];
    Encoded result = Encoded::ok;
    for (int t = 0; t < 32; ++t) {
        if ((valid[0] >> t & 1u) == 0) continue;
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
