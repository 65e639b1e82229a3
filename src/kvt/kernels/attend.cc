#include "kvt/kernels/attend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kvt/quant/tile.h"

namespace kvt {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// One part of one tile, packed or open.
struct Part {
    const TileSpec * spec = nullptr;
    const uint8_t *  tile = nullptr;
    int              part = 0;
};

Part part_of(const HeadTiles & head, int64_t cell) {
    const int64_t unit = cell / kBlockTokens, block = unit / head.packed->n_parts;
    const int     part = static_cast<int>(unit % head.packed->n_parts);
    for (int s = 0; s < head.n_open; ++s) {
        if (head.open_blocks[s] == block) {
            // An f16 tile of several parts is as many f16 tiles in a row.
            const uint8_t * tile = head.open_tiles + static_cast<size_t>(s) * head.open_stride;
            return {head.open, tile + static_cast<size_t>(part) * head.open->bytes, 0};
        }
    }
    return {head.packed, head.tiles + static_cast<size_t>(block) * head.packed->bytes, part};
}

const uint8_t * start_of(const Part & p) { return p.tile + static_cast<size_t>(p.part) * p.spec->part_bytes; }

// Bytes of a part that are fetched ahead. Parameters come with the first part of a tile.
size_t bytes_ahead(const TileSpec & spec) { return spec.n_parts == 1 ? spec.bytes : spec.part_bytes; }

// Lines of a portion so that both parts come in as many portions as there are. No portion spans both parts: with K8V4 of KIVI, 72
// and 40 lines in 16 portions of 7 left the scales of the values behind.
int lines_ahead(const TileSpec & k, const TileSpec & v) {
    const int  portions    = std::max(2, (quads(k.head_dim) + quads(v.head_dim)) / kQuadsPerPortion);
    const auto portions_of = [](size_t n, int lines) { return (static_cast<int>((n + 63) / 64) + lines - 1) / lines; };
    int        lines       = 1;
    while (portions_of(bytes_ahead(k), lines) + portions_of(bytes_ahead(v), lines) > portions) ++lines;
    return lines;
}

Ahead ahead_of(const Part & k, const Part & v, int lines) {
    const uint8_t * const from_k = start_of(k);
    const uint8_t * const from_v = start_of(v);
    return {from_k, from_k + bytes_ahead(*k.spec), from_v, from_v + bytes_ahead(*v.spec), lines};
}

Operand operand_of(const KernelTable & kernels, const Part & p, int n_rows, uint8_t * scratch) {
    const int packed_rows = p.spec->is_f16 ? kernels.packed_f16_rows : kernels.packed_code_rows;
    if (n_rows <= packed_rows && decoded_on_the_way(*p.spec)) return {start_of(p), true};
    return {kernels.unpack(*p.spec, p.tile, p.part, scratch), false};
}

// Calls fn(token 0..31, row) for each sink token of the 32 cells from `cell` on.
template <class Fn>
void for_each_sink(const HeadTiles & head, int64_t cell, const Fn & fn) {
    for (int s = 0; s < head.n_sinks; ++s) {
        const int64_t t = head.sink_cells[s] - cell;
        if (t >= 0 && t < kBlockTokens)
            fn(static_cast<int>(t), head.sink_rows + static_cast<ptrdiff_t>(s) * head.packed->head_dim);
    }
}

// Scores of a sink token, from its 16-bit key.
void score_sink(const QueryRows & rows, int head_dim, int t, const f16_t * key, float * scores) {
    for (int r = 0; r < rows.n_rows; ++r) {
        const float * q   = rows.q + static_cast<ptrdiff_t>(r) * rows.stride;
        float         sum = 0;
        for (int d = 0; d < head_dim; ++d) sum += q[d] * f16_to_f32(key[d]);
        scores[r * kBlockTokens + t] = sum;
    }
}

// Adds a sink token's 16-bit value times its weights.
void add_sink(const float * weights, int n_rows, int head_dim, int stride, const f16_t * value, float * o) {
    for (int r = 0; r < n_rows; ++r) {
        for (int d = 0; d < head_dim && weights[r] != 0.0f; ++d) o[r * stride + d] += weights[r] * f16_to_f32(value[d]);
    }
}

// Adds to each channel what values() left out.   constant [n_groups][16]
void add_constants(const TileSpec & v, const float * constant, float * o) {
    for (int d = 0; d < v.head_dim; d += v.group) {
        float         sum   = 0;
        const float * lanes = constant + d / v.group * 16;
        for (int i = 0; i < 16; ++i) sum += lanes[i];
        const int last = d + v.group < v.head_dim ? d + v.group : v.head_dim;
        for (int i = d; i < last; ++i) o[i] += sum;
    }
}

void cap_logits(float * scores, float cap) {
    for (int t = 0; t < kBlockTokens; ++t) scores[t] = cap * std::tanh(scores[t] / cap);
}

// How attend() divides its scratch.
struct Scratch {
    uint8_t * operand_k = nullptr;
    uint8_t * operand_v = nullptr;
    float *   scores    = nullptr;  // [kMaxRows][32]
    int8_t *  parts     = nullptr;  // the integers of QueryRows
    float *   step      = nullptr;
    float *   shift     = nullptr;
    float *   weight    = nullptr;
    float *   constant  = nullptr;  // [kMaxRows][v.n_groups][16]
    size_t    bytes     = 0;

    static Scratch layout(uint8_t * memory, const TileSpec & k, const TileSpec & v) {
        Scratch    s;
        const auto take = [&](size_t n) {
            uint8_t * const at = memory == nullptr ? nullptr : memory + s.bytes;
            s.bytes += (n + 63) / 64 * 64;
            return at;
        };
        const auto take_floats = [&](size_t n) { return reinterpret_cast<float *>(take(n * sizeof(float))); };
        const auto n_rows      = static_cast<size_t>(kMaxRows);
        s.operand_k            = take(operand_bytes(k.head_dim));
        s.operand_v            = take(operand_bytes(v.head_dim));
        s.scores               = take_floats(n_rows * kBlockTokens);
        s.parts                = reinterpret_cast<int8_t *>(take(n_rows * 2 * static_cast<size_t>(k.stride)));
        s.step                 = take_floats(n_rows);
        s.shift                = take_floats(n_rows * static_cast<size_t>(k.n_groups));
        s.weight               = take_floats(n_rows * static_cast<size_t>(k.n_groups));
        s.constant             = take_floats(n_rows * static_cast<size_t>(v.n_groups) * 16);
        return s;
    }
};

// exp(a - b) for a <= b, and 1 if both are -inf.
float rescale_factor(float a, float b) { return a == b ? 1.0f : std::exp(a - b); }

}  // namespace

void find_visibility(const f16_t * mask, int64_t n, Visibility * seen) {
    for (int64_t first = 0; first < n; first += kBlockTokens, ++seen) {
        const int64_t last = first + kBlockTokens < n ? first + kBlockTokens : n;
        // Branch-free so that the compiler vectorizes it. ALiBi masks count as `some`.
        unsigned any = 0, all = 1;
        for (int64_t t = first; t < last; ++t) {
            any |= static_cast<unsigned>(mask[t] != kF16MinusInfinity);
            all &= static_cast<unsigned>((mask[t] & 0x7fff) == 0);
        }
        *seen = any == 0 ? Visibility::none : all != 0 ? Visibility::all : Visibility::some;
    }
}

size_t attend_scratch_bytes(const TileSpec & k, const TileSpec & v) { return Scratch::layout(nullptr, k, v).bytes; }

void attend_init(const AttendState & state, int n_rows, int head_dim_v) {
    for (int r = 0; r < n_rows; ++r) {
        state.m[r] = kMinusInfinity;
        state.l[r] = 0.0f;
    }
    std::memset(state.o, 0, sizeof(float) * static_cast<size_t>(n_rows) * static_cast<size_t>(padded_dim(head_dim_v)));
}

void attend(const KernelTable & kernels, const HeadTiles & k, const HeadTiles & v, const AttendRows & rows, int64_t first_cell,
            int64_t last_cell, const AttendState & state, uint8_t * scratch_memory) {
    const Scratch scratch  = Scratch::layout(scratch_memory, *k.packed, *v.packed);
    const int     stride_k = k.packed->stride, stride_v = v.packed->stride, n_groups_k = k.packed->n_groups;
    const int     n_constants = v.packed->n_groups * 16;  // per row
    std::memset(scratch.constant, 0, sizeof(float) * static_cast<size_t>(rows.n_rows * n_constants));
    const int n_lines = lines_ahead(*k.packed, *v.packed);
    float     factor[kMaxRows];
    // Integer queries of a per-channel format belong to one tile; those of other formats serve all of them.
    const uint8_t * prepared_for[kMaxRows] = {};
    const auto      query_rows             = [&](int first, int n) {
        const ptrdiff_t at = first;
        return QueryRows{n,
                         stride_k,
                         n_groups_k,
                         rows.q + at * stride_k,
                         scratch.parts + at * 2 * stride_k,
                         scratch.step + at,
                         scratch.shift + at * n_groups_k,
                         scratch.weight + at * n_groups_k};
    };
    if (!k.packed->is_f16 && !k.packed->per_channel) kernels.prepare_queries(*k.packed, nullptr, query_rows(0, rows.n_rows));

    for (int64_t cell = first_cell; cell < last_cell; cell += kBlockTokens) {
        const int     n    = last_cell - cell < kBlockTokens ? static_cast<int>(last_cell - cell) : kBlockTokens;
        const int64_t unit = cell / kBlockTokens;
        const auto    sees = [&](int r) { return rows.mask == nullptr ? Visibility::all : rows.seen[r][unit]; };
        bool          any  = false;
        for (int r = 0; r < rows.n_rows && !any; ++r) any = sees(r) != Visibility::none;
        if (!any) continue;

        const Part    part_k = part_of(k, cell), part_v = part_of(v, cell);
        const Operand operand_k = operand_of(kernels, part_k, rows.n_rows, scratch.operand_k);
        const Operand operand_v = operand_of(kernels, part_v, rows.n_rows, scratch.operand_v);
        Ahead         ahead;
        if (cell + kBlockTokens < last_cell || rows.goes_on) {
            ahead = ahead_of(part_of(k, cell + kBlockTokens), part_of(v, cell + kBlockTokens), n_lines);
        }
        // Only the rows that see the tile: sequences that share a cache are each a run of rows here.
        for (int first = 0; first < rows.n_rows;) {
            if (sees(first) == Visibility::none) {
                ++first;
                continue;
            }
            int last = first + 1;
            while (last < rows.n_rows && sees(last) != Visibility::none) ++last;
            const QueryRows run    = query_rows(first, last - first);
            float *         scores = scratch.scores + static_cast<ptrdiff_t>(first) * kBlockTokens;
            if (part_k.spec->per_channel) {
                bool ready = true;
                for (int r = first; r < last; ++r) ready = ready && prepared_for[r] == part_k.tile;
                if (!ready) kernels.prepare_queries(*part_k.spec, part_k.tile, run);
                for (int r = first; r < last; ++r) prepared_for[r] = part_k.tile;
            }
            kernels.scores(*part_k.spec, part_k.tile, operand_k, run, ahead, scores);
            for_each_sink(k, cell, [&](int t, const f16_t * key) { score_sink(run, k.packed->head_dim, t, key, scores); });
            for (int r = first; r < last; ++r) {
                float * row = scratch.scores + static_cast<ptrdiff_t>(r) * kBlockTokens;
                for (int t = 0; t < kBlockTokens && rows.bias != nullptr; ++t) row[t] += rows.bias[r];
                if (rows.softcap != 0.0f) cap_logits(row, rows.softcap);
                if (sees(r) != Visibility::all) {
                    const float slope = rows.slope != nullptr ? rows.slope[r] : 1.0f;
                    if (n == kBlockTokens) {
                        kernels.add_mask(rows.mask[r] + cell, slope, row);
                    } else {
                        f16_t padded[kBlockTokens];
                        for (int t = 0; t < kBlockTokens; ++t) padded[t] = t < n ? rows.mask[r][cell + t] : kF16MinusInfinity;
                        kernels.add_mask(padded, slope, row);
                    }
                } else {
                    for (int t = n; t < kBlockTokens; ++t) row[t] = kMinusInfinity;
                }
            }
            kernels.softmax_step(last - first, scores, state.m + first, state.l + first, factor + first);
            // The weights of sink tokens are set aside: values() skips tokens of weight 0.
            float weights[kBlockTokens][kMaxRows];
            for_each_sink(v, cell, [&](int t, const f16_t *) {
                for (int r = 0; r < run.n_rows; ++r) weights[t][r] = std::exchange(scores[r * kBlockTokens + t], 0.0f);
            });
            float * constant = scratch.constant + static_cast<ptrdiff_t>(first) * n_constants;
            kernels.values(*part_v.spec, part_v.tile, operand_v, last - first, scores, factor + first, state.l + first, ahead,
                           state.o + static_cast<ptrdiff_t>(first) * stride_v, constant);
            for_each_sink(v, cell, [&](int t, const f16_t * value) {
                add_sink(weights[t], run.n_rows, v.packed->head_dim, stride_v, value,
                         state.o + static_cast<ptrdiff_t>(first) * stride_v);
            });
            if (part_v.spec->is_f16 && !v.packed->is_f16) {
                for (int r = first; r < last; ++r, constant += n_constants) {
                    for (int i = 0; i < n_constants; ++i) constant[i] *= factor[r];
                }
            }
            first = last;
        }
    }
    for (int r = 0; r < rows.n_rows && !v.packed->is_f16; ++r)
        add_constants(*v.packed, scratch.constant + r * n_constants, state.o + r * stride_v);
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

void attend_finish(const AttendState & state, int n_rows, int head_dim_v) {
    const int stride = padded_dim(head_dim_v);
    for (int r = 0; r < n_rows; ++r) {
        const float inverse = state.l[r] == 0.0f ? 0.0f : 1.0f / state.l[r];
        for (int d = 0; d < head_dim_v; ++d) state.o[r * stride + d] *= inverse;
    }
}

}  // namespace kvt
