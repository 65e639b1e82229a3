#include "kvt/cache/tensor_cache.h"

#include <algorithm>
#include <cstring>

#include "kvt/base/aligned_buffer.h"
#include "kvt/cache/saved_row.h"
#include "kvt/kernels/transform_rows.h"
#include "kvt/plan/plan.h"

namespace kvt {

namespace {

// What a thread needs to write a head, reused from call to call. Not kept with the cache: 512 rows of 8 heads take 2 MiB, which
// the 64 tensors of an 8B model would hold beside what the plan says.
struct WriteScratch {
    AlignedBuffer           rows;
    std::vector<TokenPlace> places;
};

WriteScratch & write_scratch() {
    thread_local WriteScratch scratch;
    return scratch;
}

}  // namespace

TensorCache::TensorCache(const CacheShape & shape, const KernelTable & kernels, uint8_t * memory)
    : shape_(shape),
      kernels_(&kernels),
      packed_(make_tile_spec(shape.format, shape.side, shape.head_dim)),
      open_(make_tile_spec(f16_format(), shape.side, shape.head_dim)),
      block_tokens_(tile_tokens(shape.format)),
      n_blocks_((shape.n_cells + block_tokens_ - 1) / block_tokens_),
      memory_(memory) {
    const int64_t n_tiles = shape_.n_streams * shape_.n_heads * n_blocks_;
    n_open_               = open_blocks(shape_.format, shape_.kept);
    n_sinks_              = sink_slots(shape_.format, shape_.kept, static_cast<uint64_t>(shape_.n_streams));
    open_memory_          = memory_ + static_cast<size_t>(n_tiles) * packed_.bytes;
    sink_memory_          = open_memory_ + static_cast<size_t>(shape_.n_streams * shape_.n_heads * n_open_) * open_tile_bytes();
    const Sealing when    = shape_.kept.residual_tokens > 0 ? Sealing::when_needed : Sealing::when_full;
    if (sealing()) tables_.assign(static_cast<size_t>(shape_.n_streams), BlockTable(n_blocks_, block_tokens_, n_open_, when));
    if (n_sinks_ > 0) sinks_.assign(static_cast<size_t>(shape_.n_streams), SinkTable(n_sinks_));
}

const PackedTransform * TensorCache::transform(int head) const {
    return shape_.transforms ? &(*shape_.transforms)[static_cast<size_t>(head)] : nullptr;
}

const f16_t * TensorCache::feedback(int head) const {
    const PackedTransform * t = transform(head);
    return t == nullptr || t->feedback.empty() ? nullptr : t->feedback.data();
}

uint8_t * TensorCache::tile(int64_t stream, int head, int64_t block) const {
    return memory_ + static_cast<size_t>((stream * shape_.n_heads + head) * n_blocks_ + block) * packed_.bytes;
}

size_t TensorCache::open_tile_bytes() const { return static_cast<size_t>(packed_.n_parts) * open_.bytes; }

uint8_t * TensorCache::open_tile(int64_t stream, int slot, int head) const {
    const int64_t index = (stream * n_open_ + slot) * shape_.n_heads + head;
    return open_memory_ + static_cast<size_t>(index) * open_tile_bytes();
}

size_t TensorCache::sink_bytes() const {
    const size_t rows = static_cast<size_t>(shape_.n_heads) * static_cast<size_t>(n_sinks_);
    return (rows * static_cast<size_t>(shape_.head_dim) * sizeof(f16_t) + 63) / 64 * 64;
}

f16_t * TensorCache::sink_row(int64_t stream, int head, int slot) const {
    auto * rows = reinterpret_cast<f16_t *>(sink_memory_ + static_cast<size_t>(stream) * sink_bytes());
    return rows + static_cast<ptrdiff_t>(head * n_sinks_ + slot) * shape_.head_dim;
}

void TensorCache::keep_sink(int64_t stream, int64_t cell, const float * row) {
    const int slot = sinks_[static_cast<size_t>(stream)].take(cell);
    for (int h = 0; h < shape_.n_heads; ++h) {
        float stored[1024] = {};
        std::memcpy(stored, row + static_cast<ptrdiff_t>(h) * shape_.head_dim,
                    sizeof(float) * static_cast<size_t>(shape_.head_dim));
        transform_rows(*kernels_, transform(h), 1, stored);
        f16_t * to = sink_row(stream, h, slot);
        for (int d = 0; d < shape_.head_dim; ++d) {
            const f16_t half = f32_to_f16(stored[d]);
            to[d]            = h == 0 ? without_mark(half, d) : half;
        }
    }
}

void TensorCache::touch_sinks(int64_t stream, const f16_t * mask, int64_t n_cells) {
    if (n_sinks_ > 0) sinks_[static_cast<size_t>(stream)].touch(mask, n_cells);
}

bool TensorCache::is_sink(int64_t stream, int64_t cell) const {
    return n_sinks_ > 0 && sinks_[static_cast<size_t>(stream)].slot_of(cell) >= 0;
}

void TensorCache::plan_write(std::span<const int64_t> cells) {
    writes_.clear();
    steps_.clear();
    n_rows_ = cells.size();
    for (size_t r = 0; r < cells.size(); ++r) {
        const int64_t stream = cells[r] / shape_.n_cells, cell = cells[r] % shape_.n_cells, row = static_cast<int64_t>(r);
        if (n_sinks_ > 0) sinks_[static_cast<size_t>(stream)].forget(cell);
        if (!sealing()) {
            writes_.push_back({stream, cell / block_tokens_, row, static_cast<int>(cell % block_tokens_)});
            continue;
        }
        scratch_steps_.clear();
        tables_[static_cast<size_t>(stream)].write(cell, row, scratch_steps_);
        for (const BlockStep & step : scratch_steps_) steps_.push_back({stream, step});
    }
}

const float * TensorCache::stored_rows(int head, const float * rows, int64_t row_stride) {
    const auto      stride = static_cast<size_t>(packed_.stride);
    AlignedBuffer & memory = write_scratch().rows;
    memory.reserve(n_rows_ * stride * sizeof(float));
    auto * const out = reinterpret_cast<float *>(memory.data());
    const auto   n   = static_cast<size_t>(shape_.head_dim);
    for (size_t r = 0; r < n_rows_; ++r) {
        std::memcpy(out + r * stride, rows + static_cast<ptrdiff_t>(r) * row_stride, n * sizeof(float));
        std::fill_n(out + r * stride + n, stride - n, 0.0f);  // another cache's rows were here
    }
    transform_rows(*kernels_, transform(head), static_cast<int>(n_rows_), out);
    return out;
}

Encoded TensorCache::run_steps(int head, const float * rows) {
    Encoded result = Encoded::ok;
    for (const auto & [stream, step] : steps_) {
        uint8_t * const open = open_tile(stream, step.slot, head);
        Encoded         one  = Encoded::ok;
        switch (step.kind) {
            case BlockStep::Kind::open:
                std::memset(open, 0, open_tile_bytes());
                break;
            case BlockStep::Kind::reopen: {
                float row[1024];
                for (int t = 0; t < block_tokens_; ++t) {
                    decode_token(packed_.format, packed_.side, packed_.head_dim, t, tile(stream, head, step.block), row);
                    const TokenPlace place{open, t};
                    kernels_->encode_tokens(open_, nullptr, 1, row, 0, &place);
                }
                break;
            }
            case BlockStep::Kind::write: {
                const TokenPlace place{open, step.token};
                one = kernels_->encode_tokens(open_, nullptr, 1, rows + step.row * packed_.stride, 0, &place);
                break;
            }
            case BlockStep::Kind::seal: {
                // The open tile is 64-byte aligned f16 data written by encode_tokens of the f16 spec.
                const f16_t * src = reinterpret_cast<const f16_t *>(open);
                one = kernels_->encode_tile(packed_, src, step.valid.data(), feedback(head), tile(stream, head, step.block));
                break;
            }
        }
        if (one != Encoded::ok) result = one;
    }
    return result;
}

Encoded TensorCache::write_head(int head, const float * rows, int64_t row_stride) {
    const float * stored = stored_rows(head, rows, row_stride);
    if (sealing()) return run_steps(head, stored);
    std::vector<TokenPlace> & places = write_scratch().places;
    places.clear();
    for (const CellWrite & w : writes_) places.push_back({tile(w.stream, head, w.block), w.token});
    return kernels_->encode_tokens(packed_, feedback(head), static_cast<int>(places.size()), stored, packed_.stride,
                                   places.data());
}

HeadTiles TensorCache::head(int64_t stream, int head) const {
    HeadTiles tiles;
    tiles.packed = &packed_;
    tiles.open   = &open_;
    tiles.tiles  = tile(stream, head, 0);
    if (sealing()) {
        const BlockTable & table = tables_[static_cast<size_t>(stream)];
        tiles.open_blocks        = table.open_blocks();
        tiles.open_tiles         = open_tile(stream, 0, head);
        tiles.open_stride        = static_cast<size_t>(shape_.n_heads) * open_tile_bytes();
        tiles.n_open             = table.n_slots();
    }
    if (n_sinks_ > 0) {
        tiles.sink_cells = sinks_[static_cast<size_t>(stream)].cells();
        tiles.sink_rows  = sink_row(stream, head, 0);
        tiles.n_sinks    = n_sinks_;
    }
    return tiles;
}

void TensorCache::read_cell(int64_t cell, float * row) const {
    const int64_t stream = cell / shape_.n_cells, index = cell % shape_.n_cells;
    const int64_t block = index / block_tokens_;
    const int     token = static_cast<int>(index % block_tokens_);
    const int     slot  = sealing() ? tables_[static_cast<size_t>(stream)].slot_of(block) : -1;
    const int     sink  = n_sinks_ > 0 ? sinks_[static_cast<size_t>(stream)].slot_of(index) : -1;
    for (int h = 0; h < shape_.n_heads; ++h) {
        float out[1024] = {};  // padded as the rotations want it
        if (sink >= 0) {
            const f16_t * kept = sink_row(stream, h, sink);
            for (int d = 0; d < shape_.head_dim; ++d) out[d] = f16_to_f32(kept[d]);
        } else {
            const TileSpec & spec = slot < 0 ? packed_ : open_;
            const uint8_t *  from = slot < 0 ? tile(stream, h, block) : open_tile(stream, slot, h);
            decode_token(spec.format, spec.side, spec.head_dim, token, from, out);
        }
        restore_rows(*kernels_, transform(h), 1, nullptr, out);
        std::memcpy(row + static_cast<ptrdiff_t>(h) * shape_.head_dim, out, sizeof(float) * static_cast<size_t>(shape_.head_dim));
    }
}

void TensorCache::read_cell_f16(int64_t cell, std::span<uint8_t> row) {
    saved_.resize(row.size() / sizeof(f16_t));
    read_cell(cell, saved_.data());
    for (size_t i = 0; i < saved_.size(); ++i) {
        const f16_t half = f32_to_f16(saved_[i]);
        std::memcpy(&row[i * sizeof half], &half, sizeof half);
    }
}

void TensorCache::clear() {
    std::memset(memory_, 0,
                tensor_bytes(shape_.format, shape_.side, shape_.n_heads, shape_.head_dim, static_cast<uint64_t>(shape_.n_cells),
                             static_cast<uint64_t>(shape_.n_streams), shape_.kept));
    for (SinkTable & table : sinks_) table.clear();
    for (BlockTable & table : tables_) table.clear();
}

void TensorCache::copy_stream(const TensorCache & from, int64_t from_stream, int64_t to_stream) {
    const size_t stream_tiles = static_cast<size_t>(shape_.n_heads) * static_cast<size_t>(n_blocks_) * packed_.bytes;
    std::memmove(tile(to_stream, 0, 0), from.tile(from_stream, 0, 0), stream_tiles);
    if (n_sinks_ > 0) {
        std::memmove(sink_row(to_stream, 0, 0), from.sink_row(from_stream, 0, 0), sink_bytes());
        sinks_[static_cast<size_t>(to_stream)] = from.sinks_[static_cast<size_t>(from_stream)];
    }
    if (!sealing()) return;
    const size_t n_open = static_cast<size_t>(n_open_ * shape_.n_heads);
    std::memmove(open_tile(to_stream, 0, 0), from.open_tile(from_stream, 0, 0), n_open * open_tile_bytes());
    tables_[static_cast<size_t>(to_stream)] = from.tables_[static_cast<size_t>(from_stream)];
}

}  // namespace kvt
