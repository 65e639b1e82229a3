#include "kvt/quant/codec.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace kvt {

namespace {

constexpr f16_t   kF16NaN       = 0x7e00;
constexpr uint8_t kByteNaN      = kF16NaN >> 7;
constexpr int     kMaxScaleByte = 0x7bff >> 7;  // the largest finite f16 with 3 mantissa bits, 61440

f16_t load_f16(const uint8_t * p) {
    f16_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

void store_f16(uint8_t * p, f16_t v) { std::memcpy(p, &v, sizeof v); }

// Scale and offset of one group: as stored and as they will be read back.
struct GroupParams {
    uint16_t s_stored = 0, z_stored = 0;
    float    s = 0, z = 0;
    bool     finite = true;
};

// Minimum and maximum of a group, and whether all its elements were finite.
struct Range {
    float lo = std::numeric_limits<float>::infinity(), hi = -std::numeric_limits<float>::infinity();
    bool  finite = true;

    void add(float x) {
        finite = finite && std::isfinite(x);
        lo     = x < lo ? x : lo;
        hi     = x > hi ? x : hi;
    }
};

float from_scale_byte(uint8_t b) { return f16_to_f32(static_cast<f16_t>(b << 7)); }
float offset_unit(float s, int bits) { return s * (static_cast<float>(1 << bits) / 256.0f); }

GroupParams f16_params(const Range & range, int bits) {
    const f16_t z = f32_to_f16(range.lo + 0.0f);  // of -0 and +0 either may be found first: the offset is +0
    const f16_t s = f32_to_f16((range.hi - range.lo) / static_cast<float>((1 << bits) - 1));
    if (!range.finite || !f16_is_finite(z) || !f16_is_finite(s)) return {kF16NaN, kF16NaN, 0, 0, false};
    return {s, z, f16_to_f32(s), f16_to_f32(z), true};
}

GroupParams byte_params(const Range & range, int bits) {
    const float lo = range.lo < 0.0f ? range.lo : 0.0f, hi = range.hi > 0.0f ? range.hi : 0.0f;
    const float n    = static_cast<float>((1 << bits) - 1);
    const f16_t step = f32_to_f16((hi - lo) * range_shrink(bits) / n);
    if (!range.finite || !f16_is_finite(step)) return {kByteNaN, kByteNaN, 0, 0, false};
    const int   nearest = (step + (bits >= 6 ? 127 : 64)) >> 7;
    const auto  scale   = static_cast<uint8_t>(nearest < kMaxScaleByte ? nearest : kMaxScaleByte);
    const float s       = from_scale_byte(scale);
    if (s == 0.0f) return {};
    const float unit   = offset_unit(s, bits);
    const float start  = (lo + hi) * 0.5f - s * (n * 0.5f);
    const float steps  = std::nearbyint(-start / unit);
    const auto  offset = static_cast<uint8_t>(steps < 0.0f ? 0.0f : steps > 255.0f ? 255.0f : steps);
    return {scale, offset, s, -static_cast<float>(offset) * unit, true};
}

GroupParams group_params(const Format & f, const Range & range) {
    return f.params == Params::byte ? byte_params(range, f.bits) : f16_params(range, f.bits);
}

int encode_value(float x, const GroupParams & p, int bits) {
    if (!p.finite || p.s == 0.0f) return 0;
    const float steps = std::nearbyint((x - p.z) / p.s);
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

void put_params(const Format & f, Side side, int head_dim, int group, const GroupParams & p, uint8_t * tile) {
    const size_t at = param_bytes(f) * static_cast<size_t>(group);
    uint8_t *    s  = tile + tile_scales_at(f, side, head_dim) + at;
    uint8_t *    z  = tile + tile_offsets_at(f, side, head_dim) + at;
    if (f.params == Params::byte) {
        *s = static_cast<uint8_t>(p.s_stored);
        *z = static_cast<uint8_t>(p.z_stored);
    } else {
        store_f16(s, p.s_stored);
        store_f16(z, p.z_stored);
    }
}

// Codes of one token whose groups' parameters are known.   params [head_dim] by channel
void put_token(const Format & f, Side side, int head_dim, int t, const float * row, const f16_t * feedback,
               const GroupParams * const * params, uint8_t * tile) {
    const int stride = (head_dim + 15) / 16 * 16;
    float     target[1024];
    std::memcpy(target, row, sizeof(float) * static_cast<size_t>(head_dim));
    for (int i = head_dim - 1; i >= 0; --i) {
        const GroupParams & p    = *params[i];
        const int           code = encode_value(target[i], p, f.bits);
        put_code(f, side, head_dim, t, i, code, tile);
        if (feedback == nullptr || !p.finite) continue;
        const float error = static_cast<float>(code) * p.s + p.z - row[i];
        for (int j = 0; j < i; ++j) target[j] -= f16_to_f32(feedback[i * stride + j]) * error;
    }
}

Encoded encode_token_groups(const Format & f, Side side, int head_dim, int t, const float * row, const f16_t * feedback,
                            uint8_t * tile) {
    GroupParams         groups[64];  // 1024 channels in groups of 16
    const GroupParams * params[1024];
    Encoded             result = Encoded::ok;
    for (int g = 0, first = 0; first < head_dim; ++g, first += f.group) {
        const int last = first + f.group < head_dim ? first + f.group : head_dim;
        Range     range;
        for (int d = first; d < last; ++d) range.add(row[d]);
        groups[g] = group_params(f, range);
        if (!groups[g].finite) result = Encoded::not_finite;
        put_params(f, side, head_dim, group_index(f, t, first), groups[g], tile);
        for (int d = first; d < last; ++d) params[d] = &groups[g];
    }
    put_token(f, side, head_dim, t, row, feedback, params, tile);
    return result;
}

}  // namespace

void put_code(const Format & f, Side side, int head_dim, int t, int d, int code, uint8_t * tile) {
    put_bits(code_place(f, side, head_dim, t, d, Plane::low), code, tile);
    if (high_plane_bits(f.bits) > 0)
        put_bits(code_place(f, side, head_dim, t, d, Plane::high), code >> low_plane_bits(f.bits), tile);
}

int code_at(const Format & f, Side side, int head_dim, int t, int d, const uint8_t * tile) {
    const int low = get_bits(code_place(f, side, head_dim, t, d, Plane::low), tile);
    if (high_plane_bits(f.bits) == 0) return low;
    return low | get_bits(code_place(f, side, head_dim, t, d, Plane::high), tile) << low_plane_bits(f.bits);
}

GroupScale scale_at(const Format & f, Side side, int head_dim, int index, const uint8_t * tile) {
    const size_t    at = param_bytes(f) * static_cast<size_t>(index);
    const uint8_t * s  = tile + tile_scales_at(f, side, head_dim) + at;
    const uint8_t * z  = tile + tile_offsets_at(f, side, head_dim) + at;
    if (f.params == Params::f16) return {f16_to_f32(load_f16(s)), f16_to_f32(load_f16(z))};
    const float scale = from_scale_byte(*s);
    return {scale, -static_cast<float>(*z) * offset_unit(scale, f.bits)};
}

Encoded encode_token(const Format & f, Side side, int head_dim, int t, const float * row, const f16_t * feedback,
                     uint8_t * tile) {
    if (f.codec != Codec::f16) return encode_token_groups(f, side, head_dim, t, row, feedback, tile);
    Encoded result = Encoded::ok;
    for (int d = 0; d < head_dim; ++d) {
        const f16_t h = f32_to_f16(row[d]);
        if (!f16_is_finite(h)) result = Encoded::not_finite;
        store_f16(tile + 2 * f16_place(side, head_dim, t, d), h);
    }
    return result;
}

Encoded encode_tile(const Format & f, Side side, int head_dim, const f16_t * src, const uint32_t * valid, const f16_t * feedback,
                    uint8_t * tile) {
    std::memset(tile, 0, tile_bytes(f, side, head_dim));
    const int   n_tokens = tile_tokens(f);
    const auto  at       = [&](int t, int d) { return f16_to_f32(src[f16_place(side, head_dim, t, d)]); };
    const auto  holds    = [&](int t) { return (valid[t / kBlockTokens] >> (t % kBlockTokens) & 1u) != 0; };
    Encoded     result   = Encoded::ok;
    GroupParams channels[1024];
    if (f.axis == Axis::per_channel) {
        for (int d = 0; d < head_dim; ++d) {
            Range range;
            bool  any = false;
            for (int t = 0; t < n_tokens; ++t) {
                if (!holds(t)) continue;
                range.add(at(t, d));
                any = true;
            }
            channels[d] = any ? group_params(f, range) : GroupParams{};
            if (!channels[d].finite) result = Encoded::not_finite;
            put_params(f, side, head_dim, d, channels[d], tile);
        }
    }
    float               row[1024];
    const GroupParams * params[1024];
    for (int d = 0; d < head_dim; ++d) params[d] = &channels[d];
    for (int t = 0; t < n_tokens; ++t) {
        if (!holds(t)) continue;
        for (int d = 0; d < head_dim; ++d) row[d] = at(t, d);
        if (f.axis == Axis::per_channel) {
            put_token(f, side, head_dim, t, row, feedback, params, tile);
        } else if (encode_token_groups(f, side, head_dim, t, row, feedback, tile) != Encoded::ok) {
            result = Encoded::not_finite;
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
        const GroupScale p = scale_at(f, side, head_dim, group_index(f, t, d), tile);
        row[d]             = static_cast<float>(code_at(f, side, head_dim, t, d, tile)) * p.s + p.z;
    }
}

}  // namespace kvt
