// The stored unit: a tile holds 32 consecutive cells of one KV head of one side. Its bytes are the packed format.
//
//   tile  = [codes | scales f16 | offsets f16 | zero padding to 64 bytes], 64-byte aligned
//   codes of a key tile    4 channels of one token share a 32-bit word; words run over the 32 tokens, then over channel quads
//   codes of a value tile  4 tokens of one channel share a 32-bit word; words run over the channels, then over token quads
//   bits < 8               P = 8 / bits consecutive quads share the same bytes, quad Q in bits [ (Q % P) * bits, ... )
//                          so (word >> (8 * j + bits * (Q % P))) & mask gives element j for 16 tokens (channels) at a time
//   f16 tile               keys [head_dim][32], values [32][head_dim], no parameters
//   parameters             per_token: [n_groups][32 tokens]; per_channel: [head_dim]
//
// Why: vector lanes run over tokens for keys and over channels for values, so neither QK nor PV needs a horizontal sum,
// and the 4-byte words are what u8 x s8 dot-product instructions consume.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvt/quant/format.h"

namespace kvt {

// --- Interface ---

constexpr int kBlockTokens = 32;

constexpr int quads(int n) { return (n + 3) / 4; }

// Groups with a scale and an offset in one tile.
constexpr int tile_groups(const Format & f, int head_dim) {
    if (f.codec == Codec::f16) return 0;
    if (f.axis == Axis::per_channel) return head_dim;
    return kBlockTokens * ((head_dim + f.group - 1) / f.group);
}

constexpr size_t tile_codes_bytes(const Format & f, Side side, int head_dim) {
    if (f.codec == Codec::f16) return size_t(kBlockTokens) * head_dim * 2;
    const int planes = 8 / f.bits;
    if (side == Side::key) return size_t((quads(head_dim) + planes - 1) / planes) * kBlockTokens * 4;
    return size_t(quads(kBlockTokens) / planes) * head_dim * 4;
}

// Exact stored bytes of one tile, padding included.
constexpr size_t tile_bytes(const Format & f, Side side, int head_dim) {
    const size_t raw = tile_codes_bytes(f, side, head_dim) + size_t(tile_groups(f, head_dim)) * 4;
    return (raw + 63) / 64 * 64;
}

// Offset in bytes of the scales and of the offsets within a tile.
constexpr size_t tile_scales_at(const Format & f, Side side, int head_dim) { return tile_codes_bytes(f, side, head_dim); }
constexpr size_t tile_offsets_at(const Format & f, Side side, int head_dim) {
    return tile_codes_bytes(f, side, head_dim) + size_t(tile_groups(f, head_dim)) * 2;
}

struct CodePlace {
    size_t byte;
    int    shift;
};

// Where the code of (token t in 0..31, channel d) lives.
constexpr CodePlace code_place(const Format & f, Side side, int head_dim, int t, int d) {
    const int planes = 8 / f.bits;
    if (side == Side::key) {
        const int quad = d / 4;
        return {(size_t(quad / planes) * kBlockTokens + t) * 4 + d % 4, (quad % planes) * f.bits};
    }
    const int quad = t / 4;
    return {(size_t(quad / planes) * head_dim + d) * 4 + t % 4, (quad % planes) * f.bits};
}

// Index of the f16 element (t, d) in an f16 tile.
constexpr size_t f16_place(Side side, int head_dim, int t, int d) {
    return side == Side::key ? size_t(d) * kBlockTokens + t : size_t(t) * head_dim + d;
}

// Index of the scale (and offset) of (t, d).
constexpr int group_index(const Format & f, int t, int d) {
    return f.axis == Axis::per_channel ? d : (d / f.group) * kBlockTokens + t;
}

static_assert(tile_bytes(Format{Codec::int_asym, 4, Axis::per_token, Store::on_write, 64}, Side::key, 64) == 1024 + 128);
static_assert(tile_bytes(Format{Codec::int_asym, 2, Axis::per_channel, Store::sealed_block, 32}, Side::key, 128) == 1024 + 512);
static_assert(tile_bytes(Format{Codec::int_asym, 8, Axis::per_token, Store::sealed_block, 32}, Side::value, 128) == 4096 + 512);
static_assert(tile_bytes(Format{}, Side::key, 128) == 8192);

}  // namespace kvt
