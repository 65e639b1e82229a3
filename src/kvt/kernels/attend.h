// Fused online-softmax attention of some query rows over the packed cells of one KV head.
//
//   o[r] = sum_t softmax_t(scale * q[r] . k[t] + slope[r] * mask[r][t]) v[t]      (softcap: logits become cap * tanh(logit /
//   cap))
// Codes are unpacked tile by tile into scratch that stays in L1, or decoded on the way; a full copy of the cache never exists.
// Source: online softmax as in FlashAttention (arXiv 2205.14135), split over the KV range with a final merge.
#pragma once

#include <cstdint>

#include "kvt/kernels/kernel_table.h"

namespace kvt {

// --- Interface ---

constexpr int kMaxRows = 64;  // query rows of one call: 64 x 128 floats of q and of o are 64 KiB, a small part of L2

// Where tile `block` of one (stream, KV head) is; a block is the 32 * packed->n_parts cells of a tile. A block open at 16 bits
// overrides the packed tile.
struct HeadTiles {
    const TileSpec * packed      = nullptr;
    const TileSpec * open        = nullptr;  // f16; an open tile has as many parts as a packed one
    const uint8_t *  tiles       = nullptr;  // [n_blocks] packed->bytes
    const int32_t *  open_blocks = nullptr;  // [n_open] block number held by each open slot, -1 if free
    const uint8_t *  open_tiles  = nullptr;  // slot s at open_tiles + s * open_stride
    size_t           open_stride = 0;
    int              n_open      = 0;
    const int32_t *  sink_cells  = nullptr;  // [n_sinks] cell kept at 16 bits in each sink slot, -1 if free
    const f16_t *    sink_rows   = nullptr;  // [n_sinks][head_dim], read instead of what the tile holds for those cells
    int              n_sinks     = 0;
};

// What a query sees of 32 cells.
enum class Visibility : uint8_t { none, some, all };

// Of each tile of 32 cells of a mask row of n cells.   seen [ceil(n / 32)]
void find_visibility(const f16_t * mask, int64_t n, Visibility * seen);

struct AttendRows {
    int                        n_rows = 0;        // 1 .. kMaxRows
    const float *              q      = nullptr;  // [n_rows][padded_dim(head_dim_k)], times the logit scale, zero past head_dim_k
    const f16_t * const *      mask   = nullptr;  // [n_rows] rows of n_cells f16, or null: all cells visible
    const Visibility * const * seen   = nullptr;  // [n_rows] find_visibility() of the row's mask; null only if mask is
    const float *              slope  = nullptr;  // [n_rows] ALiBi slopes; null: 1
    float                      softcap = 0;       // 0: none
    const float *              bias    = nullptr;  // [n_rows] added to every logit of the row before the cap; null: 0
    bool                       goes_on = false;    // the tile at last_cell is there and needed next: it is fetched ahead
};

// Running state of the online softmax: o is not yet divided by l.
struct AttendState {
    float * m = nullptr;  // [n_rows]
    float * l = nullptr;  // [n_rows]
    float * o = nullptr;  // [n_rows][padded_dim(head_dim_v)]
};

// Bytes of scratch that attend() needs for these formats, 64-byte aligned.
size_t attend_scratch_bytes(const TileSpec & k, const TileSpec & v);

void attend_init(const AttendState & state, int n_rows, int head_dim_v);

// Adds cells first_cell .. last_cell-1 (first_cell a multiple of 32) to the state. Cells are masked out past last_cell.
void attend(const KernelTable & kernels, const HeadTiles & k, const HeadTiles & v, const AttendRows & rows, int64_t first_cell,
            int64_t last_cell, const AttendState & state, uint8_t * scratch);

// state += other (the merge of two parts of the KV range).
void attend_merge(const AttendState & state, const AttendState & other, int n_rows, int head_dim_v);

// Adds a learned attention sink: one more logit without a value (sinks[r] is the logit of row r).
void attend_sink(const AttendState & state, const float * sinks, int n_rows, int head_dim_v);

// o[r] becomes o[r] / l[r]; a row that saw no cell becomes 0.
void attend_finish(const AttendState & state, int n_rows, int head_dim_v);

}  // namespace kvt
