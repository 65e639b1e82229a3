// Scalar encoder and decoder of tiles: the specification that every vector kernel is tested against.
//
// Parameters of a group X, n = 2^bits - 1; all arithmetic in f32, one rounding per operation, rint = round half to even:
//   f16    z = min(X), +0 for -0, s = (max(X) - min(X)) / n, both rounded to f16; constant group, or s underflows: s = 0
//   byte   lo = min(X, 0), hi = max(X, 0), w = (hi - lo) * shrink(bits)
//          scale byte = bits 14..7 of f16(w / n), rounded to nearest (up for 6 and 8 bits), at most 247; s = the f16 of those
//          bits offset byte = clamp(rint(-((lo + hi) / 2 - s n / 2) / (s 2^bits / 256)), 0, 255); z = -(offset byte) * (s 2^bits
//          / 256) shrink 0.95, 0.9, 0.8 for 4, 3, 2 bits, else 1: a narrower range has smaller steps and lower error at few bits
// Codes, and values read back:
//   q = clamp(rint((x - z) / s), 0, n); q = 0 if s = 0                            x' = q * s + z
// With feedback F [head_dim][stride] (strictly lower triangular), channels are rounded from the last to the first, and what
// rounding did to one is made good in those still to come:
//   for i = head_dim - 1 .. 0:  q[i] from y[i];  e = x'[i] - x[i];  y[j] -= F[i][j] * e for all j < i          (y starts as x)
// A group with a non-finite element, or whose parameters do not fit, is stored with NaN parameters, decodes to NaN and feeds
// nothing back.
// Source: KVTuner (ICML 2025) section 3 and method.md 3.1; feedback: the rule of GPTQ (arXiv 2210.17323) on cache rows,
// docs/design/0005-transforms.md.
#pragma once

#include <cstdint>

#include "kvt/base/fp16.h"
#include "kvt/quant/tile.h"

namespace kvt {

// --- Interface ---

// Whether every group encoded was finite and representable.
enum class Encoded : uint8_t { ok, not_finite };

// Share of the range that byte parameters span.
constexpr float range_shrink(int bits) { return bits == 4 ? 0.95f : bits == 3 ? 0.9f : bits == 2 ? 0.8f : 1.0f; }

// Writes token t (0 .. tile_tokens - 1) of a tile whose format stores on write (per_token int_asym, or f16, any part of it).
//   row       [head_dim] f32
//   feedback  [head_dim][stride] f16 with stride = head_dim rounded up to 16, or null; formats of 16 bits take no notice of it
Encoded encode_token(const Format & f, Side side, int head_dim, int t, const float * row, const f16_t * feedback, uint8_t * tile);

// Seals a block: quantizes an f16 tile into `tile` (all bytes written).
//   src    f16 tile of the same side and number of parts ([head_dim][32] keys, [32][head_dim] values in each part)
//   valid  [parts] bit t set if token t of the part holds data; the others take no part in min and max and get code 0
Encoded encode_tile(const Format & f, Side side, int head_dim, const f16_t * src, const uint32_t * valid, const f16_t * feedback,
                    uint8_t * tile);

// The code of (token t of the tile, channel d). Formats with codes only.
void put_code(const Format & f, Side side, int head_dim, int t, int d, int code, uint8_t * tile);
int  code_at(const Format & f, Side side, int head_dim, int t, int d, const uint8_t * tile);

// Scale and offset of group `index` (group_index()) of a tile, as read back.
struct GroupScale {
    float s = 0, z = 0;
};
GroupScale scale_at(const Format & f, Side side, int head_dim, int index, const uint8_t * tile);

// Decodes token t (0 .. tile_tokens - 1).   row  [head_dim] f32
void decode_token(const Format & f, Side side, int head_dim, int t, const uint8_t * tile, float * row);

}  // namespace kvt
