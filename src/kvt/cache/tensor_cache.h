// Packed storage of one cache tensor (the keys or the values of one layer), all streams and KV heads.
//
//   memory  [stream][head][block] tiles, then for sealed_block formats [stream][slot][head] open f16 tiles
//   bytes   tensor_bytes() of plan/plan.h, exactly
// A cell is addressed by stream and index; cells of a stream may be written in any order and overwritten.
// Writing has two phases, so that heads can be written by different threads: plan_write() once, then write_head() per head.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvt/cache/block_table.h"
#include "kvt/kernels/attend.h"
#include "kvt/kernels/kernel_table.h"

namespace kvt {

// --- Interface ---

struct CacheShape {
    Format  format;
    Side    side      = Side::key;
    int     n_heads   = 0;
    int     head_dim  = 0;
    int64_t n_cells   = 0;  // per stream
    int64_t n_streams = 1;
};

class TensorCache {
public:
    // `memory` holds tensor_bytes() plus 64 readable bytes, is 64-byte aligned, and outlives the cache.
    TensorCache(const CacheShape & shape, const KernelTable & kernels, uint8_t * memory);

    const CacheShape & shape() const { return shape_; }
    const TileSpec &   spec() const { return packed_; }

    // Registers the write of rows 0 .. cells.size()-1; cells count over all streams (stream * n_cells + index) and must be
    // in range. Then write_head() must be called for every head before anything else.
    void plan_write(std::span<const int64_t> cells);
    // rows  row r of this head at rows + r * row_stride, head_dim f32
    Encoded write_head(int head, const float * rows, int64_t row_stride);

    HeadTiles head(int64_t stream, int head) const;

    // Decodes one cell.   row  [n_heads * head_dim] f32
    void read_cell(int64_t cell, float * row) const;

    void clear();
    // Copies all of one stream from a cache of the same shape.
    void copy_stream(const TensorCache & from, int64_t from_stream, int64_t to_stream);

private:
    uint8_t * tile(int64_t stream, int head, int64_t block) const;
    uint8_t * open_tile(int64_t stream, int slot, int head) const;
    size_t    open_tile_bytes() const;
    bool      sealing() const { return shape_.format.store == Store::sealed_block; }

    CacheShape              shape_;
    const KernelTable *     kernels_;
    TileSpec                packed_, open_;
    int                     block_tokens_;
    int64_t                 n_blocks_;
    uint8_t *               memory_;
    uint8_t *               open_memory_;
    std::vector<BlockTable> tables_;  // [n_streams], sealed_block formats only

    struct CellWrite {
        int64_t stream, block, row;
        int     token;
    };
    struct StreamStep {
        int64_t   stream;
        BlockStep step;
    };
    std::vector<CellWrite>  writes_;  // the planned write of an on_write format
    std::vector<StreamStep> steps_;   // the planned write of a sealed_block format
    std::vector<BlockStep>  scratch_steps_;
};

}  // namespace kvt
