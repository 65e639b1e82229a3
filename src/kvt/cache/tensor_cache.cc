#include "kvt/cache/tensor_cache.h"

#include <algorithm>
#include <cstring>

#include "kvt/plan/plan.h"

namespace kvt {

TensorCache::TensorCache(const CacheShape & shape, const KernelTable & kernels, uint8_t * memory)
    : shape_(shape),
      kernels_(&kernels),
      packed_(make_tile_spec(shape.format, shape.side, shape.head_dim)),
      open_(make_tile_spec(f16_format(), shape.side, shape.head_dim)),
      block_tokens_(tile_tokens(shape.format)),
      n_blocks_((shape.n_cells + block_tokens_ - 1) / block_tokens_),
      memory_(memory) {
    const int64_t n_tiles = shape_.n_streams * shape_.n_heads * n_blocks_;
    open_memory_          = memory_ + static_cast<size_t>(n_tiles) * packed_.bytes;
    if (sealing())
        tables_.assign(static_cast<size_t>(shape_.n_streams), BlockTable(n_blocks_, block_tokens_, open_blocks(shape_.format)));
}

uint8_t * TensorCache::tile(int64_t stream, int head, int64_t block) const {
    return memory_ + static_cast<size_t>((stream * shape_.n_heads + head) * n_blocks_ + block) * packed_.bytes;
}

size_t TensorCache::open_tile_bytes() const { return static_cast<size_t>(packed_.n_parts) * open_.bytes; }

uint8_t * TensorCache::open_tile(int64_t stream, int slot, int head) const {
    const int64_t index = (stream * open_blocks(shape_.format) + slot) * shape_.n_heads + head;
    return open_memory_ + static_cast<size_t>(index) * open_tile_bytes();
}

void TensorCache::plan_write(std::span<const int64_t> cells) {
    writes_.clear();
    steps_.clear();
    for (size_t r = 0; r < cells.size(); ++r) {
        const int64_t stream = cells[r] / shape_.n_cells, cell = cells[r] % shape_.n_cells, row = static_cast<int64_t>(r);
        if (!sealing()) {
            writes_.push_back({stream, cell / block_tokens_, row, static_cast<int>(cell % block_tokens_)});
            continue;
        }
        scratch_steps_.clear();
        tables_[static_cast<size_t>(stream)].write(cell, row, scratch_steps_);
        for (const BlockStep & step : scratch_steps_) steps_.push_back({stream, step});
    }
}

Encoded TensorCache::write_head(int head, const float * rows, int64_t row_stride) {
    Encoded    result = Encoded::ok;
    const auto note   = [&result](Encoded e) {
        if (e != Encoded::ok) result = e;
    };
    for (const CellWrite & w : writes_) {
        note(kernels_->encode_token(packed_, w.token, rows + w.row * row_stride, tile(w.stream, head, w.block)));
    }
    for (const auto & [stream, step] : steps_) {
        uint8_t * const open = open_tile(stream, step.slot, head);
        switch (step.kind) {
            case BlockStep::Kind::open:
                std::memset(open, 0, open_tile_bytes());
                break;
            case BlockStep::Kind::reopen: {
                float row[1024];
                for (int t = 0; t < block_tokens_; ++t) {
                    decode_token(packed_.format, packed_.side, packed_.head_dim, t, tile(stream, head, step.block), row);
                    kernels_->encode_token(open_, t, row, open);
                }
                break;
            }
            case BlockStep::Kind::write:
                note(kernels_->encode_token(open_, step.token, rows + step.row * row_stride, open));
                break;
            case BlockStep::Kind::seal: {
                // The open tile is 64-byte aligned f16 data written by encode_token of the f16 spec.
                const f16_t * src = reinterpret_cast<const f16_t *>(open);
                note(kernels_->encode_tile(packed_, src, step.valid.data(), tile(stream, head, step.block)));
                break;
            }
        }
    }
    return result;
}

HeadTiles TensorCache::head(int64_t stream, int head) const {
    HeadTiles tiles{&packed_, &open_, tile(stream, head, 0), nullptr, nullptr, 0, 0};
    if (sealing()) {
        const BlockTable & table = tables_[static_cast<size_t>(stream)];
        tiles.open_blocks        = table.open_blocks();
        tiles.open_tiles         = open_tile(stream, 0, head);
        tiles.open_stride        = static_cast<size_t>(shape_.n_heads) * open_tile_bytes();
        tiles.n_open             = table.n_slots();
    }
    return tiles;
}

void TensorCache::read_cell(int64_t cell, float * row) const {
    const int64_t stream = cell / shape_.n_cells, index = cell % shape_.n_cells;
    const int64_t block = index / block_tokens_;
    const int     token = static_cast<int>(index % block_tokens_);
    const int     slot  = sealing() ? tables_[static_cast<size_t>(stream)].slot_of(block) : -1;
    for (int h = 0; h < shape_.n_heads; ++h) {
        const TileSpec & spec = slot < 0 ? packed_ : open_;
        const uint8_t *  from = slot < 0 ? tile(stream, h, block) : open_tile(stream, slot, h);
        decode_token(spec.format, spec.side, spec.head_dim, token, from, row + static_cast<ptrdiff_t>(h) * shape_.head_dim);
    }
}

void TensorCache::clear() {
    std::memset(memory_, 0,
                tensor_bytes(shape_.format, shape_.side, shape_.n_heads, shape_.head_dim, static_cast<uint64_t>(shape_.n_cells),
                             static_cast<uint64_t>(shape_.n_streams)));
    for (BlockTable & table : tables_) table.clear();
}

void TensorCache::copy_stream(const TensorCache & from, int64_t from_stream, int64_t to_stream) {
    const size_t stream_tiles = static_cast<size_t>(shape_.n_heads) * static_cast<size_t>(n_blocks_) * packed_.bytes;
    std::memmove(tile(to_stream, 0, 0), from.tile(from_stream, 0, 0), stream_tiles);
    if (!sealing()) return;
    const size_t n_open = static_cast<size_t>(open_blocks(shape_.format) * shape_.n_heads);
    std::memmove(open_tile(to_stream, 0, 0), from.open_tile(from_stream, 0, 0), n_open * open_tile_bytes());
    tables_[static_cast<size_t>(to_stream)] = from.tables_[static_cast<size_t>(from_stream)];
}

}  // namespace kvt
