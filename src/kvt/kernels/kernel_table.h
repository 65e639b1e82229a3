// The hot loops of one ISA as a table of function pointers, chosen once. Raw pointers in and out; nothing allocates or fails.
//
// All kernels work on 32 cells of one KV head: a tile, or one part of a tile that spans more tokens (quant/tile.h). Attention
// multiplies codes as integers: queries and softmax weights are rounded to kQueryLimit and kWeightLimit steps of their largest
// element (docs/design/0004-integer-attention.md). Encoding, unpacking and this rounding give the same bits on every ISA; float
// sums differ in their order only. The scalar table is the specification.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvt/kernels/isa.h"
#include "kvt/quant/codec.h"

namespace kvt {

// --- Interface ---

// Geometry of a tile, worked out once per tensor. Plain data: ISA files must not call inline functions of shared headers,
// because the linker may keep their copy compiled with wide instructions for everybody (docs/design/0001-dispatch.md).
struct TileSpec {
    Format format;
    Side   side        = Side::key;
    int    bits        = 16;
    int    low_bits    = 8;  // bits of a code in the low plane and in the high plane (0: none), quant/tile.h
    int    high_bits   = 0;
    int    head_dim    = 0;
    int    stride      = 0;  // floats between rows of queries and of outputs: head_dim rounded up to 16
    int    n_parts     = 1;  // parts of 32 tokens in a tile
    int    group       = 0;  // channels per group (per_token)
    int    n_groups    = 0;  // groups per token (per_token)
    bool   is_f16      = true;
    bool   per_channel = false;
    bool   byte_params = false;
    float  shrink      = 1.0f;           // share of the range that byte parameters span
    size_t part_bytes = 0, high_at = 0;  // codes of one part; where its high plane starts
    size_t scales_at = 0, offsets_at = 0, bytes = 0;
};

TileSpec make_tile_spec(const Format & format, Side side, int head_dim);

constexpr int kMaxParts = 4;  // per-channel groups span at most 128 tokens

constexpr int padded_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

// Query rows of one KV head: floats, and the integers that u8 x s8 dot products take. All memory is the caller's.
//   q'[d] = q[d] * s[d] (per_channel) or q[d]   is rounded to i[d] * step with i = 64 * high + low
//   score[t] = sum over groups g of  s[t,g] * (step * sum_d i[d] code[t,d] + shift[g]) + z[t,g] * weight[g]
// with s = 1, z = 0 and one group for per_channel formats. `shift` corrects the rounding of q at the middle code, so that the
// remaining error multiplies code - middle.
struct QueryRows {
    int           n_rows = 0, stride = 0, max_groups = 1;
    const float * q      = nullptr;  // [n_rows][stride], already scaled, zero past head_dim
    int8_t *      parts  = nullptr;  // [n_rows][2][stride] low, high; on avx2 [n_rows][stride] words of 16 bits if there are two
    float *       step   = nullptr;  // [n_rows]
    float *       shift  = nullptr;  // [n_rows][max_groups]
    float *       weight = nullptr;  // [n_rows][max_groups]
};

// Steps of the largest element. 13 bits of q and 12 bits of softmax weights: with 8-bit codes the rounding of q adds less than
// 1 % to the variance of the format's own error. Parts stay within 63, so that pairs of u8 x s8 products fit 16 bits (AVX2).
constexpr int kQueryLimit       = 63 * 64 + 31;
constexpr int kQueryLimitNarrow = 127;  // one part, for codes of up to kNarrowBits bits: 1 % of the variance of a 4-bit format
constexpr int kNarrowBits       = 4;
constexpr int kWeightLimit      = 63 * 64 + 63;
// One part of 7 bits for weights on codes of up to kNarrowBits bits, where no weight is more than 1 / kNarrowShare of its row's
// sum so far. With 1/32 tiles whose weights are uneven cost K8V4 7 to 11 % of its error against float64, with 1/512 nothing.
constexpr int kWeightLimitNarrow = 127;
constexpr int kNarrowShare       = 512;

// Memory that will be needed soon, two ranges one after the other: kernels fetch it into the cache in equal portions between
// their own work. A burst of prefetches before the work instead fills the core's miss buffers and stalls it (docs/design/0004).
struct Ahead {
    const uint8_t * at       = nullptr;
    const uint8_t * end      = nullptr;
    const uint8_t * next     = nullptr;  // of the second range, null once it is begun
    const uint8_t * next_end = nullptr;
    int             lines    = 0;  // per portion; of 64 bytes
};
constexpr int kQuadsPerPortion = 4;

// Where a row goes.
struct TokenPlace {
    uint8_t * tile  = nullptr;
    int       token = 0;
};

// A rotation of rows (quant/transform.h): by a matrix, or by Hadamard matrices of size `block`.
struct RotationSpec {
    const f16_t * columns  = nullptr;  // [head_dim][stride], null: Hadamard
    int           head_dim = 0, stride = 0, block = 1;
};

// One part of a tile as scores() and values() take it: unpacked, or as the tile stores it; then up to 64 bytes past the tile may
// be read.
struct Operand {
    const uint8_t * at     = nullptr;
    bool            packed = false;
};

// Whether the vector tables decode a part on the way: halves, and codes of 2 or 4 bits whose groups are whole rows of words.
constexpr bool decoded_on_the_way(const TileSpec & spec) {
    return spec.is_f16 || (spec.bits < 8 && spec.high_bits == 0 && (spec.n_groups == 1 || spec.group % 16 == 0));
}

struct KernelTable {
    Isa isa;
    // Up to so many rows are faster on codes, or halves, as the tile stores them (decoded_on_the_way).
    int packed_code_rows, packed_f16_rows;

    // As quant/codec.h, same bytes. `feedback` may be null.
    //   rows  row i at rows + i * row_stride
    Encoded (*encode_tokens)(const TileSpec & spec, const f16_t * feedback, int n, const float * rows, ptrdiff_t row_stride,
                             const TokenPlace * places);
    Encoded (*encode_tile)(const TileSpec & spec, const f16_t * src, const uint32_t * valid, const f16_t * feedback,
                           uint8_t * tile);

    // x[r] = R x[r], bit-identical to quant/transform.cc.   x [n_rows][spec.stride], what is past head_dim is unspecified after
    void (*rotate)(const RotationSpec & spec, int n_rows, float * x);

    // Makes part `part` of a tile ready for scores() and values(): codes as an 8-bit tile stores them, f16 as f32 (keys
    // [head_dim][32], values [32][stride]). The result is in `scratch` (operand_bytes()) or in the tile itself. May read up to 64
    // bytes past the tile; what stands past head_dim is unspecified.
    const uint8_t * (*unpack)(const TileSpec & spec, const uint8_t * tile, int part, uint8_t * scratch);

    // Fills parts, step, shift and weight of the rows. per_channel formats need it for each tile, others once (tile may be
    // null).
    void (*prepare_queries)(const TileSpec & spec, const uint8_t * tile, const QueryRows & rows);

    // scores[r][t] = q[r] . k[t]      scores [n_rows][32]
    void (*scores)(const TileSpec & spec, const uint8_t * tile, const Operand & k, const QueryRows & rows, Ahead & ahead,
                   float * scores);

    // One step of the online softmax of rows of 32 scores (already masked): m is the running maximum, l the running sum.
    //   scores become exp(score - new m); factor is exp(old m - new m), for the row's accumulator (1 if all are -inf).
    //   scores [n_rows][32]; m, l, factor [n_rows]
    void (*softmax_step)(int n_rows, float * scores, float * m, float * l, float * factor);

    // Adds mask[0..31] (f16) times slope to scores; a score whose mask is -inf becomes -inf whatever it was.
    void (*add_mask)(const f16_t * mask, float slope, float * scores);

    // acc[r][d] = acc[r][d] * factor[r] + sum over t of p[r][t] * v[t][d]     p [n_rows][32] >= 0, acc [n_rows][spec.stride];
    // columns past head_dim hold unspecified numbers. A token whose p is 0 takes no part, whatever its value is.
    // `sum` [n_rows] is the running sum l of each row with this tile (kNarrowShare).
    // The offsets' share of the sum may go to `constant` [n_rows][spec.n_groups][16] instead, scaled by factor too: the sum of
    // its 16 lanes is what is then missing in each channel of the group. f16 tiles leave it alone.
    void (*values)(const TileSpec & spec, const uint8_t * tile, const Operand & v, int n_rows, const float * p,
                   const float * factor, const float * sum, Ahead & ahead, float * acc, float * constant);
};

// Bytes of scratch that unpack() needs: 32 tokens as f32, and what vector stores write past the end.
constexpr size_t operand_bytes(int head_dim) { return size_t(kBlockTokens) * size_t(padded_dim(head_dim)) * 4 + 64; }

// Null if the ISA is not part of this build.
const KernelTable * kernel_table(Isa isa);

extern const KernelTable kKernelsScalar;
#if defined(__x86_64__)
extern const KernelTable kKernelsAvx2;
extern const KernelTable kKernelsAvxVnni;
extern const KernelTable kKernelsAvx512;
#elif defined(__aarch64__)
extern const KernelTable kKernelsNeon;
extern const KernelTable kKernelsNeonI8;
#endif

}  // namespace kvt
