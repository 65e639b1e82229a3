// The hot loops of one ISA as a table of function pointers, chosen once. Raw pointers in and out; nothing allocates or fails.
//
// All kernels work on one tile (32 cells of one KV head, quant/tile.h). Encoding and decoding give the same bits on every
// ISA; qk, softmax and pv differ in the order of float additions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvt/kernels/isa.h"
#include "kvt/quant/codec.h"

namespace kvt {

// --- Interface ---

// Geometry of a tile, worked out once per tensor. Plain data: ISA files must not call inline functions of shared headers,
// because the linker may keep their copy compiled with wide instructions for everybody (docs/design/dispatch.md).
struct TileSpec {
    Format format;
    Side   side        = Side::key;
    int    bits        = 16;
    int    planes      = 1;  // quads that share a byte: 8 / bits
    int    head_dim    = 0;
    int    stride      = 0;  // floats between rows of a decoded value tile: head_dim rounded up to 16
    int    group       = 0;  // channels per group (per_token)
    int    n_groups    = 0;  // groups per token (per_token)
    bool   is_f16      = true;
    bool   per_channel = false;
    size_t scales_at = 0, offsets_at = 0, bytes = 0;
};

TileSpec make_tile_spec(const Format & format, Side side, int head_dim);

constexpr int padded_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

struct KernelTable {
    Isa isa;

    // As quant/codec.h, same bits.
    Encoded (*encode_token)(const TileSpec & spec, int t, const float * row, uint8_t * tile);
    Encoded (*encode_tile)(const TileSpec & spec, const f16_t * src, uint32_t valid, uint8_t * tile);

    // out  keys [head_dim][32], values [32][spec.stride]; value columns past head_dim hold unspecified finite numbers
    //      (NaN if the tile's last group is NaN). May read up to 64 bytes past the tile.
    void (*decode)(const TileSpec & spec, const uint8_t * tile, float * out);

    // scores[r][t] = sum over d of q[r][d] * k[d][t]      q [n_rows][q_stride], k [head_dim][32], scores [n_rows][32]
    void (*qk)(int n_rows, int head_dim, const float * q, int q_stride, const float * k, float * scores);

    // One step of the online softmax for one row of 32 scores (already masked): m is the running maximum, l the running sum.
    //   scores become exp(score - new m); returns the factor exp(old m - new m) for the row's accumulator (1 if all are -inf).
    float (*softmax_step)(float * scores, float * m, float * l);

    // Adds mask[0..31] (f16) times slope to scores; a score whose mask is -inf becomes -inf whatever it was.
    void (*add_mask)(const f16_t * mask, float slope, float * scores);

    // acc[r][d] = acc[r][d] * factor[r] + sum over t of p[r][t] * v[t][d]     p [n_rows][32], v [32][stride], acc
    // [n_rows][stride]
    void (*pv)(int n_rows, int stride, const float * p, const float * factor, const float * v, float * acc);
};

// Null if the ISA is not part of this build.
const KernelTable * kernel_table(Isa isa);

extern const KernelTable kKernelsScalar;
#if defined(__x86_64__)
extern const KernelTable kKernelsAvx2;
extern const KernelTable kKernelsAvx512;
#endif

}  // namespace kvt
