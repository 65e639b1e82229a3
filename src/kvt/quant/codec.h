// Scalar encoder and decoder of tiles: the specification that every vector kernel is tested against.
//
//   z = min(X)   s = (max(X) - min(X)) / (2^bits - 1)      both rounded to f16, then
//   q = clamp(round_half_even((x - z) / s), 0, 2^bits - 1)  with the stored s and z, in f32, one rounding per operation
//   x' = q * s + z                                          in f32: product rounded, then sum rounded
//   constant group, or s underflows in f16: s = 0, q = 0, x' = z
//   a group with a non-finite element, or whose s or z does not fit f16, is stored with s = z = NaN and decodes to NaN
// Source: KVTuner (ICML 2025) section 3 and method.md 3.1.
#pragma once

#include <cstdint>

#include "kvt/base/fp16.h"
#include "kvt/quant/tile.h"

namespace kvt {

// --- Interface ---

// Whether every group encoded was finite and representable.
enum class Encoded : uint8_t { ok, not_finite };

// Writes token t (0 .. tile_tokens - 1) of a tile whose format stores on write (per_token int_asym, or f16, any part of it).
//   row  [head_dim] f32
Encoded encode_token(const Format & f, Side side, int head_dim, int t, const float * row, uint8_t * tile);

// Seals a block: quantizes an f16 tile into `tile` (all bytes written).
//   src    f16 tile of the same side and number of parts ([head_dim][32] keys, [32][head_dim] values in each part)
//   valid  [parts] bit t set if token t of the part holds data; the others take no part in min and max and get code 0
Encoded encode_tile(const Format & f, Side side, int head_dim, const f16_t * src, const uint32_t * valid, uint8_t * tile);

// The code of (token t of the tile, channel d). Formats with codes only.
int code_at(const Format & f, Side side, int head_dim, int t, int d, const uint8_t * tile);

// Decodes token t (0 .. tile_tokens - 1).   row  [head_dim] f32
void decode_token(const Format & f, Side side, int head_dim, int t, const uint8_t * tile, float * row);

}  // namespace kvt
