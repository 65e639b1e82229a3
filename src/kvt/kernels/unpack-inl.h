// Codes of one part of a tile as bytes: rows of 32-bit words, as 8-bit tiles store them; f16 parts as floats.

namespace kvt {
namespace {

inline float half_at(const uint8_t * p) {
    uint16_t h;
    __builtin_memcpy(&h, p, 2);
    return half_to_float(h);
}

inline F load_as_float(const float * p) { return load(p); }
inline F load_as_float(const uint16_t * p) { return load_f16(p); }

// Scales and offsets of kLanes neighbouring groups from `index` on, as read back.
struct ScaleLanes {
    F s, z;
};

inline ScaleLanes load_scales(const TileSpec & spec, const uint8_t * tile, int index) {
    const size_t at = static_cast<size_t>(index);
    if (!spec.byte_params) return {load_f16(tile + spec.scales_at + 2 * at), load_f16(tile + spec.offsets_at + 2 * at)};
    // s: bits 14..7 of an f16. z: a multiple of -s 2^bits / 256; the product is exact (8 by 4 significant bits).
    const F s    = load_f16_bytes(tile + spec.scales_at + at);
    const F unit = mul(s, set1(static_cast<float>(1 << spec.bits) / 256.0f));
    return {s, mul(sub(zero(), load_bytes(tile + spec.offsets_at + at)), unit)};
}

// Rows of `width` words. A row of the low plane serves 8 / Low quads, one of the high plane 8 / High.
template <int Low, int High>
inline void unpack_planes(int n_quads, int width, const uint8_t * low, const uint8_t * high, uint8_t * out) {
    constexpr int kLowQuads = 8 / Low, kGroup = High == 0 ? kLowQuads : 8 / (High == 0 ? 8 : High);  // quads of one round
    constexpr int kLowMask = ((1 << Low) - 1) * 0x01010101, kHighMask = ((1 << High) - 1) * 0x01010101;
    const size_t  row = static_cast<size_t>(width) * 4;
    for (int first = 0; first < n_quads; first += kGroup) {
        // From the end: a row that is no multiple of the vector spills into the start of the next one, which is written later.
        for (size_t at = (row - 1) / (4 * kLanes) * (4 * kLanes) + 4 * kLanes; at > 0;) {
            at -= 4 * kLanes;
            const I top  = High == 0 ? zero_words() : load_words(high + at);
            I       word = zero_words();
            KVT_UNROLL
            for (int i = 0; i < kGroup; ++i) {
                if (first + i >= n_quads) break;
                if (i % kLowQuads == 0) word = load_words(low + static_cast<size_t>(i / kLowQuads) * row + at);
                I codes = bit_and(shift_right(word, i % kLowQuads * Low), kLowMask);
                if constexpr (High > 0) codes = bit_or(codes, shift_left(bit_and(shift_right(top, i * High), kHighMask), Low));
                store_words(out + static_cast<size_t>(i) * row + at, codes);
            }
        }
        low += static_cast<size_t>(kGroup / kLowQuads) * row;
        high += row;
        out += static_cast<size_t>(kGroup) * row;
    }
}

// Keys [head_dim][32], values [32][stride] f32. Loads past the last row of values read what follows it.
inline void unpack_f16(const TileSpec & spec, const uint8_t * part, float * out) {
    if (spec.side == Side::key) {
        for (int i = 0; i < spec.head_dim * 32; i += kLanes) store(out + i, load_f16(part + 2 * static_cast<size_t>(i)));
        return;
    }
    for (int t = 0; t < 32; ++t) {
        const uint8_t * row = part + 2 * static_cast<size_t>(t) * static_cast<size_t>(spec.head_dim);
        for (int d = 0; d < spec.stride; d += kLanes)
            store(out + t * spec.stride + d, load_f16(row + 2 * static_cast<size_t>(d)));
    }
}

const uint8_t * unpack_simd(const TileSpec & spec, const uint8_t * tile, int part, uint8_t * scratch) {
    const uint8_t * low = tile + static_cast<size_t>(part) * spec.part_bytes;
    if (spec.is_f16) {
        unpack_f16(spec, low, reinterpret_cast<float *>(scratch));
        return scratch;
    }
    const int       n_quads = spec.side == Side::key ? (spec.head_dim + 3) / 4 : 8;
    const int       width   = spec.side == Side::key ? 32 : spec.head_dim;
    const uint8_t * high    = low + spec.high_at;
    switch (spec.bits) {
        case 2:
            unpack_planes<2, 0>(n_quads, width, low, high, scratch);
            return scratch;
        case 3:
            unpack_planes<2, 1>(n_quads, width, low, high, scratch);
            return scratch;
        case 4:
            unpack_planes<4, 0>(n_quads, width, low, high, scratch);
            return scratch;
        case 5:
            unpack_planes<4, 1>(n_quads, width, low, high, scratch);
            return scratch;
        case 6:
            unpack_planes<4, 2>(n_quads, width, low, high, scratch);
            return scratch;
        default:
            return low;  // 8 bits are stored as they are used
    }
}

}  // namespace
}  // namespace kvt
