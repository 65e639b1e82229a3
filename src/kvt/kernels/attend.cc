#include "kvt/kernels/attend.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace kvt {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr f16_t kMaskHidden    = 0xfc00;  // -inf

void decode_block(const KernelTable & kernels, const HeadTiles & head, int64_t block, float * out) {
    for (int s = 0; s < head.n_open; ++s) {
        if (head.open_blocks[s] == block) {
            return kernels.decode(*head.open, head.open_tiles + static_cast<size_t>(s) * head.open_stride, out);
        }
    }
    kernels.decode(*head.packed, head.tiles + static_cast<size_t>(block) * head.packed->bytes, out);
}

enum class Visibility { none, some, all };

// What one row sees of the n cells that `mask` covers. Branch-free so that the compiler vectorizes it: it runs once per
// row and tile. ALiBi masks count as `some`.
Visibility row_visibility(const f16_t * mask, int n) {
    unsigned any = 0, all = 1;
    for (int t = 0; t < n; ++t) {
        any |= static_cast<unsigned>(mask[t] != kMaskHidden);
        all &= static_cast<unsigned>((mask[t] & 0x7fff) == 0);
    }
    if (any == 0) return Visibility::none;
    return all != 0 ? Visibility::all : Visibility::some;
}

void cap_logits(float * scores, float cap) {
    for (int t = 0; t < kBlockTokens; ++t) scores[t] = cap * std::tanh(scores[t] / cap);
}

// exp(a - b) for a <= b, and 1 if both are -inf.
float rescale_factor(float a, float b) { return a == b ? 1.0f : std::exp(a - b); }

}  // namespace

size_t attend_scratch_floats(int head_dim_k, int head_dim_v) {
    const size_t tile_k = static_cast<size_t>(head_dim_k) * kBlockTokens;
    const size_t tile_v = static_cast<size_t>(padded_dim(head_dim_v)) * kBlockTokens;
    return tile_k + tile_v + static_cast<size_t>(kMaxRows) * kBlockTokens;
}

void attend_init(const AttendState & state, int n_rows, int head_dim_v) {
    for (int r = 0; r < n_rows; ++r) {
        state.m[r] = kMinusInfinity;
        state.l[r] = 0.0f;
    }
    std::memset(state.o, 0, sizeof(float) * static_cast<size_t>(n_rows) * static_cast<size_t>(padded_dim(head_dim_v)));
}

void attend(const KernelTable & kernels, const HeadTiles & k, const HeadTiles & v, const AttendRows & rows, int64_t first_cell,
            int64_t last_cell, const AttendState & state, float * scratch) {
    const int  head_dim = k.packed->head_dim;
    const int  stride_v = v.packed->stride;
    float *    tile_k   = scratch;
    float *    tile_v   = tile_k + static_cast<size_t>(head_dim) * kBlockTokens;
    float *    scores   = tile_v + static_cast<size_t>(stride_v) * kBlockTokens;
    float      factor[kMaxRows];
    Visibility seen[kMaxRows];

    for (int64_t cell = first_cell; cell < last_cell; cell += kBlockTokens) {
        const int n   = last_cell - cell < kBlockTokens ? static_cast<int>(last_cell - cell) : kBlockTokens;
        bool      any = rows.mask == nullptr;
        if (rows.mask != nullptr) {
            for (int r = 0; r < rows.n_rows; ++r) {
                // Heads of one token share a mask row; rows of one token are neighbours.
                seen[r] = r > 0 && rows.mask[r] == rows.mask[r - 1] ? seen[r - 1] : row_visibility(rows.mask[r] + cell, n);
                any     = any || seen[r] != Visibility::none;
            }
        }
        if (!any) continue;

        const int64_t block = cell / kBlockTokens;
        decode_block(kernels, k, block, tile_k);
        kernels.qk(rows.n_rows, head_dim, rows.q, head_dim, tile_k, scores);
        for (int r = 0; r < rows.n_rows; ++r) {
            float * row = scores + r * kBlockTokens;
            if (rows.softcap != 0.0f) cap_logits(row, rows.softcap);
            if (rows.mask != nullptr && seen[r] != Visibility::all) {
                if (n == kBlockTokens) {
                    kernels.add_mask(rows.mask[r] + cell, rows.slope != nullptr ? rows.slope[r] : 1.0f, row);
                } else {
                    f16_t padded[kBlockTokens];
                    for (int t = 0; t < kBlockTokens; ++t) padded[t] = t < n ? rows.mask[r][cell + t] : kMaskHidden;
                    kernels.add_mask(padded, rows.slope != nullptr ? rows.slope[r] : 1.0f, row);
                }
            } else {
                for (int t = n; t < kBlockTokens; ++t) row[t] = kMinusInfinity;
            }
            factor[r] = kernels.softmax_step(row, state.m + r, state.l + r);
        }
        decode_block(kernels, v, block, tile_v);
        kernels.pv(rows.n_rows, stride_v, scores, factor, tile_v, state.o);
    }
}

void attend_merge(const AttendState & state, const AttendState & other, int n_rows, int head_dim_v) {
    const int stride = padded_dim(head_dim_v);
    for (int r = 0; r < n_rows; ++r) {
        const float m  = state.m[r] > other.m[r] ? state.m[r] : other.m[r];
        const float f0 = rescale_factor(state.m[r], m), f1 = rescale_factor(other.m[r], m);
        for (int d = 0; d < stride; ++d) state.o[r * stride + d] = state.o[r * stride + d] * f0 + other.o[r * stride + d] * f1;
        state.l[r] = state.l[r] * f0 + other.l[r] * f1;
        state.m[r] = m;
    }
}

void attend_sink(const AttendState & state, const float * sinks, int n_rows, int head_dim_v) {
    const int stride = padded_dim(head_dim_v);
    for (int r = 0; r < n_rows; ++r) {
        const float m = state.m[r] > sinks[r] ? state.m[r] : sinks[r];
        const float f = rescale_factor(state.m[r], m);
        for (int d = 0; d < stride; ++d) state.o[r * stride + d] *= f;
        state.l[r] = state.l[r] * f + rescale_factor(sinks[r], m);
        state.m[r] = m;
    }
}

void attend_finish(const AttendState & state, int n_rows, int head_dim_v, float * const * out_rows) {
    const int stride = padded_dim(head_dim_v);
    for (int r = 0; r < n_rows; ++r) {
        const float inverse = state.l[r] == 0.0f ? 0.0f : 1.0f / state.l[r];
        for (int d = 0; d < head_dim_v; ++d) out_rows[r][d] = state.o[r * stride + d] * inverse;
    }
}

}  // namespace kvt
