// Packed storage of one cache tensor (the keys or the values of one layer), all streams and KV heads.
//
//   memory  [stream][head][block] tiles, then for sealed_block formats [stream][slot][head] open f16 tiles, then for each stream
//           [head][slot][head_dim] f16 rows of sink tokens, padded to 64 bytes
//   bytes   tensor_bytes() of plan/plan.h, exactly
// Rows are transformed (quant/transform.h) when they are written and restored when they are read; what is stored, at 16 bits too,
// is the transformed row.
// A cell is addressed by stream and index; cells of a stream may be written in any order and overwritten.
// Writing has two phases, so that heads can be written by different threads: plan_write() once, then write_head() per head.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvt/cache/block_table.h"
#include "kvt/cache/sink_table.h"
#include "kvt/kernels/attend.h"
#include "kvt/kernels/kernel_table.h"
#include "kvt/plan/plan.h"
#include "kvt/quant/transform.h"

namespace kvt {

// --- Interface ---

struct CacheShape {
    Format                                              format;
    Side                                                side      = Side::key;
    int                                                 n_heads   = 0;
    int                                                 head_dim  = 0;
    int64_t                                             n_cells   = 0;  // per stream
    int64_t                                             n_streams = 1;
    Kept                                                kept{};
    std::shared_ptr<const std::vector<PackedTransform>> transforms;  // [n_heads], or null: none
};

// What became of a row of a saved state; foreign: it was packed by something else, nothing was stored.
enum class Loaded : uint8_t { ok, not_finite, foreign };

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

    // Keeps a cell of a stream at 16 bits from now on, until it is written again.   row  [n_heads * head_dim] f32
    void keep_sink(int64_t stream, int64_t cell, const float * row);
    bool is_sink(int64_t stream, int64_t cell) const;

    HeadTiles head(int64_t stream, int head) const;
    // Tells that a query sees these cells of a stream: sinks seen longest ago are the first to be given up.
    void touch_sinks(int64_t stream, const f16_t * mask, int64_t n_cells);

    // Decodes one cell.   row  [n_heads * head_dim] f32
    void read_cell(int64_t cell, float * row) const;

    // The same as 16-bit floats.   row  [n_heads * head_dim * 2] bytes
    void read_cell_f16(int64_t cell, std::span<uint8_t> row);

    // One row of a saved state, n_heads * head_dim * 2 bytes (cache/saved_row.h).
    void   save_row(int64_t cell, uint64_t signature, std::span<uint8_t> out);
    Loaded load_row(int64_t cell, uint64_t signature, std::span<const uint8_t> in);

    void clear();
    // Copies all of one stream from a cache of the same shape.
    void copy_stream(const TensorCache & from, int64_t from_stream, int64_t to_stream);

private:
    const PackedTransform * transform(int head) const;
    const f16_t *           feedback(int head) const;
    // Row r at result + r * spec().stride: rows as they are stored, transformed, in the thread's scratch.
    const float * stored_rows(int head, const float * rows, int64_t row_stride);
    Encoded       run_steps(int head, const float * rows);

    uint8_t * tile(int64_t stream, int head, int64_t block) const;
    uint8_t * open_tile(int64_t stream, int slot, int head) const;
    size_t    open_tile_bytes() const;
    f16_t *   sink_row(int64_t stream, int head, int slot) const;
    size_t    sink_bytes() const;  // of one stream
    bool      sealing() const { return shape_.format.store == Store::sealed_block; }

    CacheShape              shape_;
    const KernelTable *     kernels_;
    TileSpec                packed_, open_;
    int                     block_tokens_;
    int64_t                 n_blocks_;
    uint8_t *               memory_;
    uint8_t *               open_memory_;
    uint8_t *               sink_memory_;
    int                     n_open_, n_sinks_;  // slots per stream
    std::vector<BlockTable> tables_;            // [n_streams], sealed_block formats only
    std::vector<SinkTable>  sinks_;             // [n_streams], if the plan keeps sink tokens

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
    size_t                  n_rows_ = 0;  // of the planned write

    std::vector<float> saved_;  // a row on its way to or from 16-bit floats
};

}  // namespace kvt
