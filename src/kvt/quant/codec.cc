#include "kvt/quant/codec.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace kvt {

namespace {

constexpr f16_t kF16NaN = 0x7e00;

f16_t load_f16(const uint8_t * p) {
    f16_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

void store_f16(uint8_t * p, f16_t v) { std::memcpy(p, &v, sizeof v); }

// Scale and offset of one group as stored, and what the encoder divides by.
struct GroupParams {
    f16_t s = 0, z = 0;
    bool  finite = true;
};

GroupParams group_params(float lo, float hi, bool all_finite, int bits) {
    const f16_t z = f32_to_f16(lo);
    const f16_t s = f32_to_f16((hi - lo) / static_cast<float>((1 << bits) - 1));
    if (!all_finite || !f16_is_finite(z) || !f16_is_finite(s)) return {kF16NaN, kF16NaN, false};
    return {s, z, true};
}

int encode_value(float x, const GroupParams & p, int bits) {
    if (!p.finite || (p.s & 0x7fffu) == 0) return 0;
    const float steps = std::nearbyint((x - f16_to_f32(p.z)) / f16_to_f32(p.s));
    const float top   = static_cast<float>((1 << bits) - 1);
    return static_cast<int>(steps < 0.0f ? 0.0f : steps > top ? top : steps);
}

void put_bits(const CodePlace & place, int value, uint8_t * tile) {
    const int mask   = (1 << place.bits) - 1;
    tile[place.byte] = static_cast<uint8_t>((tile[place.byte] & ~(mask << place.shift)) | ((value & mask) << place.shift));
}

int get_bits(const CodePlace & place, const uint8_t * tile) {
    return (tile[place.byte] >> place.shift) & ((1 << place.bits) - 1);
}

void put_code(const Format & f, Side side, int head_dim, int t, int d, int code, uint8_t * tile) {
    put_bits(code_place(f, side, head_dim, t, d, Plane::low), code, tile);
    if (high_plane_bits(f.bits) > 0)
        put_bits(code_place(f, side, head_dim, t, d, Plane::high), code >> low_plane_bits(f.bits), tile);
}

void put_params(const Format & f, Side side, int head_dim, int group, const GroupParams & p, uint8_t * tile) {
    store_f16(tile + tile_scales_at(f, side, head_dim) + 2 * static_cast<size_t>(group), p.s);
    store_f16(tile + tile_offsets_at(f, side, head_dim) + 2 * static_cast<size_t>(group), p.z);
}

// Minimum and maximum over the elements that `get(i)` yields, and whether all were finite.
struct Range {
    float lo = std::numeric_limits<float>::infinity(), hi = -std::numeric_limits<float>::infinity();
    bool  finite = true;

    void add(float x) {
        finite = finite && std::isfinite(x);
        lo     = x < lo ? x : lo;
        hi     = x > hi ? x : hi;
    }
};

Encoded encode_token_groups(const Format & f, Side side, int head_dim, int t, const float * row, uint8_t * tile) {
    Encoded result = Encoded::ok;
    for (int first = 0; first < head_dim; first += f.group) {
        const int last = first + f.group < head_dim ? first + f.group : head_dim;
        Range     range;
        for (int d = first; d < last; ++d) range.add(row[d]);
        const GroupParams p = group_params(range.lo, range.hi, range.finite, f.bits);
        if (!p.finite) result = Encoded::not_finite;
        put_params(f, side, head_dim, group_index(f, t, first), p, tile);
        for (int d = first; d < last; ++d) put_code(f, side, head_dim, t, d, encode_value(row[d], p, f.bits), tile);
    }
    return result;
}

}  // namespace

int code_at(const Format & f, Side side, int head_dim, int t, int d, const uint8_t * tile) {
    const int low = get_bits(code_place(f, side, head_dim, t, d, Plane::low), tile);
    if (high_plane_bits(f.bits) == 0) return low;
    return low | get_bits(code_place(f, side, head_dim, t, d, Plane::high), tile) << low_plane_bits(f.bits);
}

Encoded encode_token(const Format & f, Side side, int head_dim, int t, const float * row, uint8_t * tile) {
    if (f.codec != Codec::f16) return encode_token_groups(f, side, head_dim, t, row, tile);
    Encoded result = Encoded::ok;
    for (int d = 0; d < head_dim; ++d) {
        const f16_t h = f32_to_f16(row[d]);
        if (!f16_is_finite(h)) result = Encoded::not_finite;
        store_f16(tile + 2 * f16_place(side, head_dim, t, d), h);
    }
    return result;
}

Encoded encode_tile(const Format & f, Side side, int head_dim, const f16_t * src, const uint32_t * valid, uint8_t * tile) {
    std::memset(tile, 0, tile_bytes(f, side, head_dim));
    const int  n_tokens = tile_tokens(f);
    const auto at       = [&](int t, int d) { return f16_to_f32(src[f16_place(side, head_dim, t, d)]); };
    const auto holds    = [&](int t) { return (valid[t / kBlockTokens] >> (t % kBlockTokens) & 1u) != 0; };
    Encoded    result   = Encoded::ok;
    if (f.axis == Axis::per_token) {
        float row[1024];
        for (int t = 0; t < n_tokens; ++t) {
            if (!holds(t)) continue;
            for (int d = 0; d < head_dim; ++d) row[d] = at(t, d);
            if (encode_token_groups(f, side, head_dim, t, row, tile) != Encoded::ok) result = Encoded::not_finite;
        }
        return result;
    }
    for (int d = 0; d < head_dim; ++d) {
        Range range;
        bool  any = false;
        for (int t = 0; t < n_tokens; ++t) {
            if (!holds(t)) continue;
            range.add(at(t, d));
            any = true;
        }
        const GroupParams p = any ? group_params(range.lo, range.hi, range.finite, f.bits) : GroupParams{};
        if (!p.finite) result = Encoded::not_finite;
        put_params(f, side, head_dim, d, p, tile);
        for (int t = 0; t < n_tokens; ++t) {
            if (holds(t)) put_code(f, side, head_dim, t, d, encode_value(at(t, d), p, f.bits), tile);
        }
    }
    return result;
}

void decode_token(const Format & f, Side side, int head_dim, int t, const uint8_t * tile, float * row) {
    for (int d = 0; d < head_dim; ++d) {
        if (f.codec == Codec::f16) {
            row[d] = f16_to_f32(load_f16(tile + 2 * f16_place(side, head_dim, t, d)));
            continue;
        }
        const size_t group = static_cast<size_t>(group_index(f, t, d));
        const float  s     = f16_to_f32(load_f16(tile + tile_scales_at(f, side, head_dim) + 2 * group));
        const float  z     = f16_to_f32(load_f16(tile + tile_offsets_at(f, side, head_dim) + 2 * group));
        row[d]             = static_cast<float>(code_at(f, side, head_dim, t, d, tile)) * s + z;
    }
}

}  // namespace kvt
