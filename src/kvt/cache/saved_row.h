// A row of one cell as a saved state of the host holds it (llama-server's slot files and RAM cache, prompt caches): it takes the
// place of the n_heads * head_dim 16-bit floats that the host believes in, and is one of
//
//   packed  formats that quantize on write: mark of 8 bytes (four f16 NaNs: programs without the plugin compute NaN instead of
//           nonsense), signature of 8, then for each head [head_dim] codes, a byte each, scales and offsets as in its tile
//   sink    such formats, tokens kept at 16 bits: f16 as stored, their lowest bits spell a mark; keep_sink() leaves those bits
//   free plain   f16 of the row as it was before any transform: all other formats, and states that stock llama.cpp wrote
// Packed and sink rows come back bit for bit. The signature says what the row was packed by; others refuse it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvt/kernels/kernel_table.h"

namespace kvt {

// --- Interface ---

constexpr size_t kSavedHeader = 16;

// Bytes of one head in a packed row.
size_t packed_token_bytes(const TileSpec & spec);
// Whether rows of this format are saved packed: the tokens of a tile are independent, and they fit.
bool saves_packed(const TileSpec & spec, int n_heads);

// Between token t of a tile and a head of a packed row.
void pack_token(const TileSpec & spec, int t, const uint8_t * tile, uint8_t * out);
void unpack_token(const TileSpec & spec, int t, const uint8_t * in, uint8_t * tile);

void put_header(uint64_t signature, uint8_t * row);
bool has_header(const uint8_t * row);
bool has_header(uint64_t signature, const uint8_t * row);

// The lowest bits of the first elements of a sink row. n  elements of a head
f16_t without_mark(f16_t x, int element);
void  put_sink_mark(uint64_t signature, int n, f16_t * row);
bool  has_sink_mark(uint64_t signature, int n, const f16_t * row);

}  // namespace kvt
