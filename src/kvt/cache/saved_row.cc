#include "kvt/cache/saved_row.h"

#include <cstring>

#include "kvt/cache/tensor_cache.h"
#include "kvt/quant/codec.h"
#include "kvt/quant/tile.h"

namespace kvt {

namespace {

constexpr f16_t kMark[4] = {0x7e4b, 0x7e56, 0x7e54, 0x7e31};  // quiet NaNs; low bytes "KVT1"

constexpr int kSinkMarkBits = 32;

bool sink_mark_bit(uint64_t signature, int i) { return ((signature ^ (signature >> 32) ^ 0x53494e4b) >> i & 1u) != 0; }

// Calls fn(offset in the tile, bytes) for each scale and each offset of token t.
template <class Fn>
void for_each_param(const TileSpec & spec, int t, const Fn & fn) {
    const size_t bytes = param_bytes(spec.format);
    for (const size_t first : {spec.scales_at, spec.offsets_at}) {
        for (int d = 0; d < spec.head_dim; d += spec.group)
            fn(first + bytes * static_cast<size_t>(group_index(spec.format, t, d)), bytes);
    }
}

}  // namespace

size_t packed_token_bytes(const TileSpec & spec) {
    return static_cast<size_t>(spec.head_dim) + static_cast<size_t>(spec.n_groups) * 2 * param_bytes(spec.format);
}

bool saves_packed(const TileSpec & spec, int n_heads) {
    const auto n = static_cast<size_t>(n_heads);
    return !spec.is_f16 && spec.format.store == Store::on_write &&
           kSavedHeader + n * packed_token_bytes(spec) <= n * static_cast<size_t>(spec.head_dim) * sizeof(f16_t);
}

void pack_token(const TileSpec & spec, int t, const uint8_t * tile, uint8_t * out) {
    for (int d = 0; d < spec.head_dim; ++d)
        *out++ = static_cast<uint8_t>(code_at(spec.format, spec.side, spec.head_dim, t, d, tile));
    for_each_param(spec, t, [&](size_t at, size_t bytes) {
        std::memcpy(out, tile + at, bytes);
        out += bytes;
    });
}

void unpack_token(const TileSpec & spec, int t, const uint8_t * in, uint8_t * tile) {
    for (int d = 0; d < spec.head_dim; ++d) put_code(spec.format, spec.side, spec.head_dim, t, d, *in++, tile);
    for_each_param(spec, t, [&](size_t at, size_t bytes) {
        std::memcpy(tile + at, in, bytes);
        in += bytes;
    });
}

void put_header(uint64_t signature, uint8_t * row) {
    std::memcpy(row, kMark, sizeof kMark);
    std::memcpy(row + sizeof kMark, &signature, sizeof signature);
}

bool has_header(const uint8_t * row) { return std::memcmp(row, kMark, sizeof kMark) == 0; }

bool has_header(uint64_t signature, const uint8_t * row) {
    return has_header(row) && std::memcmp(row + sizeof kMark, &signature, sizeof signature) == 0;
}

f16_t without_mark(f16_t x, int element) { return element < kSinkMarkBits ? static_cast<f16_t>(x & ~1) : x; }

void put_sink_mark(uint64_t signature, int n, f16_t * row) {
    for (int i = 0; i < n && i < kSinkMarkBits; ++i)
        row[i] = static_cast<f16_t>(without_mark(row[i], i) | (sink_mark_bit(signature, i) ? 1 : 0));
}

bool has_sink_mark(uint64_t signature, int n, const f16_t * row) {
    for (int i = 0; i < n && i < kSinkMarkBits; ++i) {
        if (((row[i] & 1) != 0) != sink_mark_bit(signature, i)) return false;
    }
    return true;
}

// --- TensorCache ---

void TensorCache::save_row(int64_t cell, uint64_t signature, std::span<uint8_t> out) {
    const int64_t stream = cell / shape_.n_cells, index = cell % shape_.n_cells;
    const auto    head_dim = static_cast<size_t>(shape_.head_dim);
    if (!saves_packed(packed_, shape_.n_heads)) return read_cell_f16(cell, out);
    std::memset(out.data(), 0, out.size());
    const int sink = n_sinks_ > 0 ? sinks_[static_cast<size_t>(stream)].slot_of(index) : -1;
    if (sink < 0) put_header(signature, out.data());
    for (int h = 0; h < shape_.n_heads; ++h) {
        if (sink < 0) {
            pack_token(packed_, static_cast<int>(index % block_tokens_), tile(stream, h, index / block_tokens_),
                       &out[kSavedHeader + static_cast<size_t>(h) * packed_token_bytes(packed_)]);
            continue;
        }
        f16_t row[1024];
        std::memcpy(row, sink_row(stream, h, sink), head_dim * sizeof(f16_t));
        if (h == 0) put_sink_mark(signature, shape_.head_dim, row);
        std::memcpy(&out[static_cast<size_t>(h) * head_dim * sizeof(f16_t)], row, head_dim * sizeof(f16_t));
    }
}

Loaded TensorCache::load_row(int64_t cell, uint64_t signature, std::span<const uint8_t> in) {
    const bool packs = saves_packed(packed_, shape_.n_heads);
    const bool known = packs && has_header(signature, in.data());
    if (has_header(in.data()) && !known) return Loaded::foreign;
    saved_.resize(in.size() / sizeof(f16_t));
    for (size_t i = 0; i < saved_.size(); ++i) {
        f16_t half;
        std::memcpy(&half, &in[i * sizeof half], sizeof half);
        saved_[i] = f16_to_f32(half);
    }
    f16_t first[1024];
    std::memcpy(first, in.data(), sizeof(f16_t) * static_cast<size_t>(shape_.head_dim));
    const bool sink = packs && !known && n_sinks_ > 0 && has_sink_mark(signature, shape_.head_dim, first);

    plan_write({&cell, 1});
    if (!known && !sink) {
        Encoded result = Encoded::ok;
        for (int h = 0; h < shape_.n_heads; ++h) {
            if (write_head(h, &saved_[static_cast<size_t>(h * shape_.head_dim)], 0) != Encoded::ok) result = Encoded::not_finite;
        }
        return result == Encoded::ok ? Loaded::ok : Loaded::not_finite;
    }
    const int64_t stream = cell / shape_.n_cells, index = cell % shape_.n_cells;
    const int     slot = sink ? sinks_[static_cast<size_t>(stream)].take(index) : -1;
    for (int h = 0; h < shape_.n_heads; ++h) {
        const TokenPlace place{tile(stream, h, index / block_tokens_), static_cast<int>(index % block_tokens_)};
        if (known) {
            unpack_token(packed_, place.token, &in[kSavedHeader + static_cast<size_t>(h) * packed_token_bytes(packed_)],
                         place.tile);
            continue;
        }
        // The tile is only read if the slot is given up, so that these codes need not be those of the first time.
        float   row[1024] = {};
        f16_t * kept      = sink_row(stream, h, slot);
        for (int d = 0; d < shape_.head_dim; ++d) {
            f16_t half;
            std::memcpy(&half, &in[static_cast<size_t>(h * shape_.head_dim + d) * sizeof half], sizeof half);
            kept[d] = h == 0 ? without_mark(half, d) : half;
            row[d]  = f16_to_f32(kept[d]);
        }
        kernels_->encode_tokens(packed_, feedback(h), 1, row, packed_.stride, &place);
    }
    return Loaded::ok;
}

}  // namespace kvt
