// Decoders of one ISA: a tile of codes to f32. q * s is exact in f32 (8-bit code times 11-bit significand), so a fused
// multiply-add rounds once like the specification's product and sum do: same bits on every ISA.

namespace kvt {
namespace {

inline float half_at(const uint8_t * p) {
    uint16_t h;
    __builtin_memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

// out [head_dim][32]
void decode_key(const TileSpec & spec, const uint8_t * tile, float * out) {
    constexpr int kVecs = 32 / kLanes;
    if (spec.is_f16) {
        for (int i = 0; i < spec.head_dim * 32; i += kLanes) store(out + i, load_f16(tile + 2 * static_cast<size_t>(i)));
        return;
    }
    const int mask = (1 << spec.bits) - 1;
    F         s[kVecs], z[kVecs];
    for (int v = 0; v < kVecs; ++v) s[v] = z[v] = zero();
    int loaded_group = -1;
    for (int d = 0; d < spec.head_dim; ++d) {
        if (spec.per_channel) {
            const F scale  = set1(half_at(tile + spec.scales_at + 2 * static_cast<size_t>(d)));
            const F offset = set1(half_at(tile + spec.offsets_at + 2 * static_cast<size_t>(d)));
            for (int v = 0; v < kVecs; ++v) {
                s[v] = scale;
                z[v] = offset;
            }
        } else if (d / spec.group != loaded_group) {
            loaded_group = d / spec.group;
            for (int v = 0; v < kVecs; ++v) {
                const size_t at = 2 * (static_cast<size_t>(loaded_group) * 32 + static_cast<size_t>(v) * kLanes);
                s[v]            = load_f16(tile + spec.scales_at + at);
                z[v]            = load_f16(tile + spec.offsets_at + at);
            }
        }
        const int       quad  = d / 4;
        const int       shift = 8 * (d % 4) + (quad % spec.planes) * spec.bits;
        const uint8_t * words = tile + static_cast<size_t>(quad / spec.planes) * 128;
        for (int v = 0; v < kVecs; ++v) {
            const I code = bit_and(shift_right(load_words(words + v * kLanes * 4), shift), mask);
            store(out + d * 32 + v * kLanes, fma(to_float(code), s[v], z[v]));
        }
    }
}

// out [32][stride]
void decode_value(const TileSpec & spec, const uint8_t * tile, float * out) {
    if (spec.is_f16) {
        for (int t = 0; t < 32; ++t) {
            const uint8_t * row = tile + 2 * static_cast<size_t>(t) * static_cast<size_t>(spec.head_dim);
            for (int d = 0; d < spec.stride; d += kLanes) store(out + t * spec.stride + d, load_f16(row + 2 * d));
        }
        return;
    }
    const int mask = (1 << spec.bits) - 1;
    for (int d = 0; d < spec.stride; d += kLanes) {
        const int g = d < spec.head_dim ? d / spec.group : spec.n_groups - 1;
        float     s[32], z[32];
        for (int t = 0; t < 32; t += kLanes) {
            const size_t at = 2 * (static_cast<size_t>(g) * 32 + static_cast<size_t>(t));
            store(s + t, load_f16(tile + spec.scales_at + at));
            store(z + t, load_f16(tile + spec.offsets_at + at));
        }
        // Each word holds 4 * planes tokens of one channel.
        for (int word_row = 0; word_row < 8 / spec.planes; ++word_row) {
            const I words = load_words(
                tile + (static_cast<size_t>(word_row) * static_cast<size_t>(spec.head_dim) + static_cast<size_t>(d)) * 4);
            for (int p = 0; p < spec.planes; ++p) {
                for (int j = 0; j < 4; ++j) {
                    const int t    = 4 * (word_row * spec.planes + p) + j;
                    const I   code = bit_and(shift_right(words, 8 * j + p * spec.bits), mask);
                    store(out + t * spec.stride + d, fma(to_float(code), set1(s[t]), set1(z[t])));
                }
            }
        }
    }
}

void decode_simd(const TileSpec & spec, const uint8_t * tile, float * out) {
    if (spec.side == Side::key) {
        decode_key(spec, tile, out);
    } else {
        decode_value(spec, tile, out);
    }
}

}  // namespace
}  // namespace kvt
