// The stored unit: a tile holds consecutive cells of one KV head of one side. Its bytes are the packed format.
//
//   tile  = [codes of part 0 | ... | codes of the last part | scales | offsets | zero padding to 64 bytes], 64-byte aligned
//   part  = 32 cells. A tile has one part, or group / 32 parts if a per-channel group spans more than 32 tokens.
//   codes = low plane, then high plane: bits 2, 4 and 8 have one plane, 3 = 2 + 1, 5 = 4 + 1, 6 = 4 + 2;
//           code = low | high << (bits of the low plane)
//   plane of a key tile    4 channels of one token share a 32-bit word; words run over the 32 tokens, then over channel quads
//   plane of a value tile  4 tokens of one channel share a 32-bit word; words run over the channels, then over token quads
//   planes of w < 8 bits   8 / w consecutive quads share the same bytes, quad Q in bits [ (Q % (8 / w)) * w, ... )
//                          so (word >> (8 * j + w * (Q % (8 / w)))) & mask gives element j for 16 tokens (channels) at a time
//   f16 tile               keys [head_dim][32], values [32][head_dim] in each part, no parameters
//   parameters             per_token: [n_groups][32 tokens]; per_channel: [head_dim]; f16 or a byte each
//
// Why: vector lanes run over tokens for keys and over channels for values, so neither QK nor PV needs a horizontal sum,
// and the 4-byte words are what u8 x s8 dot-product instructions consume.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvt/quant/format.h"

namespace kvt {

// --- Interface ---

constexpr int kBlockTokens = 32;  // of a part

constexpr int quads(int n) { return (n + 3) / 4; }

// Tokens of a tile, and of the block that is sealed as one.
constexpr int tile_tokens(const Format & f) { return f.axis == Axis::per_channel ? f.group : kBlockTokens; }
constexpr int tile_parts(const Format & f) { return tile_tokens(f) / kBlockTokens; }

constexpr int low_plane_bits(int bits) { return bits == 3 ? 2 : bits == 5 || bits == 6 ? 4 : bits; }
constexpr int high_plane_bits(int bits) { return bits - low_plane_bits(bits); }

// Groups with a scale and an offset in one tile.
constexpr int tile_groups(const Format & f, int head_dim) {
    if (f.codec == Codec::f16) return 0;
    if (f.axis == Axis::per_channel) return head_dim;
    return kBlockTokens * ((head_dim + f.group - 1) / f.group);
}

// Bytes of one scale, and of one offset.
constexpr size_t param_bytes(const Format & f) { return f.params == Params::byte ? 1 : 2; }

// Bytes of a plane of `bits` bits (0: none) of one part.
constexpr size_t plane_bytes(int bits, Side side, int head_dim) {
    if (bits == 0) return 0;
    const int sharing = 8 / bits;
    const int rows    = (quads(side == Side::key ? head_dim : kBlockTokens) + sharing - 1) / sharing;
    return size_t(rows) * size_t(side == Side::key ? kBlockTokens : head_dim) * 4;
}

constexpr size_t part_bytes(const Format & f, Side side, int head_dim) {
    if (f.codec == Codec::f16) return size_t(kBlockTokens) * head_dim * 2;
    return plane_bytes(low_plane_bits(f.bits), side, head_dim) + plane_bytes(high_plane_bits(f.bits), side, head_dim);
}

constexpr size_t tile_codes_bytes(const Format & f, Side side, int head_dim) {
    return size_t(tile_parts(f)) * part_bytes(f, side, head_dim);
}

// Exact stored bytes of one tile, padding included.
constexpr size_t tile_bytes(const Format & f, Side side, int head_dim) {
    const size_t raw = tile_codes_bytes(f, side, head_dim) + size_t(tile_groups(f, head_dim)) * 2 * param_bytes(f);
    return (raw + 63) / 64 * 64;
}

// Offset in bytes of the scales and of the offsets within a tile.
constexpr size_t tile_scales_at(const Format & f, Side side, int head_dim) { return tile_codes_bytes(f, side, head_dim); }
constexpr size_t tile_offsets_at(const Format & f, Side side, int head_dim) {
    return tile_codes_bytes(f, side, head_dim) + size_t(tile_groups(f, head_dim)) * param_bytes(f);
}

struct CodePlace {
    size_t byte;
    int    shift, bits;
};

// Where the low or the high bits of the code of (token t of a tile, channel d) live; bits 0 if there is no such plane.
enum class Plane : uint8_t { low, high };
constexpr CodePlace code_place(const Format & f, Side side, int head_dim, int t, int d, Plane plane) {
    const int    low = low_plane_bits(f.bits), bits = plane == Plane::low ? low : f.bits - low;
    const size_t origin =
        size_t(t / kBlockTokens) * part_bytes(f, side, head_dim) + (plane == Plane::low ? 0 : plane_bytes(low, side, head_dim));
    if (bits == 0) return {0, 0, 0};
    const int sharing = 8 / bits, token = t % kBlockTokens;
    if (side == Side::key) {
        const int quad = d / 4;
        return {origin + (size_t(quad / sharing) * kBlockTokens + size_t(token)) * 4 + size_t(d % 4), (quad % sharing) * bits,
                bits};
    }
    const int quad = token / 4;
    return {origin + (size_t(quad / sharing) * size_t(head_dim) + size_t(d)) * 4 + size_t(token % 4), (quad % sharing) * bits,
            bits};
}

// Index of the f16 element (t, d) in an f16 tile (of any number of parts).
constexpr size_t f16_place(Side side, int head_dim, int t, int d) {
    const size_t part = size_t(t / kBlockTokens) * size_t(kBlockTokens) * size_t(head_dim);
    return part + (side == Side::key ? size_t(d) * kBlockTokens + size_t(t % kBlockTokens)
                                     : size_t(t % kBlockTokens) * size_t(head_dim) + size_t(d));
}

// Index of the scale (and offset) of (t, d).
constexpr int group_index(const Format & f, int t, int d) {
    return f.axis == Axis::per_channel ? d : (d / f.group) * kBlockTokens + t;
}

static_assert(tile_bytes(Format{Codec::int_asym, 4, Axis::per_token, Store::on_write, 64}, Side::key, 64) == 1024 + 128);
static_assert(tile_bytes(Format{Codec::int_asym, 2, Axis::per_channel, Store::sealed_block, 32}, Side::key, 128) == 1024 + 512);
static_assert(tile_bytes(Format{Codec::int_asym, 8, Axis::per_token, Store::sealed_block, 32}, Side::value, 128) == 4096 + 512);
static_assert(tile_bytes(Format{Codec::int_asym, 3, Axis::per_token, Store::on_write, 128}, Side::value, 128) ==
              1024 + 512 + 128);
static_assert(tile_bytes(Format{Codec::int_asym, 4, Axis::per_channel, Store::sealed_block, 128}, Side::key, 64) ==
              4 * 1024 + 256);
static_assert(tile_bytes(Format{Codec::int_asym, 4, Axis::per_token, Store::on_write, 64, Params::byte}, Side::value, 64) ==
              1024 + 64);
static_assert(tile_bytes(Format{}, Side::key, 128) == 8192);

}  // namespace kvt
