#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <omp.h>

#include "kvt/base/parallel_errors.h"
#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/ops.h"
#include "kvt/ggml_plugin/plugin_state.h"
#include "kvt/kernels/transform_rows.h"

namespace kvt::plugin {

namespace {

// Cells per work item when the query rows of a KV head fit one call (generation): a constant, so that results do not
// depend on the number of threads. Merging costs one row of o per 512 cells, 0.2 % of the work.
constexpr int64_t kSplitCells    = 512;
constexpr int64_t kPartsTogether = 4;  // about 30 us at 4 bits, 3 % of what two threads have to do at depth 16384

// Everything about one attention op that the work items share.
struct attention {
    const ggml_tensor * q;      // [head_dim, n_tokens, n_heads, n_streams]
    const ggml_tensor * mask;   // [n_kv, n_tokens, 1, n_streams] f16, or null
    const ggml_tensor * sinks;  // [n_heads] f32, or null
    const ggml_tensor * out;    // [head_dim_v, n_heads, n_tokens, n_streams]
    cache_tensor *      k;
    cache_tensor *      v;
    int64_t             first_stream, n_streams, n_kv;
    int                 n_tokens, n_heads, n_kv_heads, gqa_ratio, dk, dv;
    float               scale, max_bias, softcap;
    int                 n_rows, n_row_chunks;  // per (stream, KV head)
    int64_t             n_splits;
    int                 part_rows;    // rows of one item
    size_t              part_floats;  // one partial state: o, m, l of them
    size_t              q_floats;     // queries of one item and their center logits
    int64_t             n_units;      // tiles of 32 cells of a mask row
    const Visibility *  seen;         // [mask rows][n_units]
};

float op_float(const ggml_tensor * op, int i) {
    float value;
    std::memcpy(&value, &op->op_params[i], sizeof value);
    return value;
}

// First stream that a cache view starts at.
int64_t view_stream(const ggml_tensor * view, const cache_tensor & cache) {
    return static_cast<int64_t>(view->view_offs) / (cache.n_embd * cache.n_cells * 2);
}

constexpr size_t padded_floats(size_t n) { return (n + 15) / 16 * 16; }  // whole cache lines

Result<attention> describe(const ggml_tensor * op) {
    attention a{};
    a.q     = op->src[0];
    a.mask  = op->src[3];
    a.sinks = op->src[4];
    a.out   = op;
    a.k     = cache_tensor_of(op->src[1]);
    a.v     = cache_tensor_of(op->src[2]);
    if (a.k == nullptr || a.v == nullptr || !a.k->cache || !a.v->cache)
        return Error{"attention on something that is not the KV cache"};
    const CacheShape & shape_k = a.k->cache->shape();
    const CacheShape & shape_v = a.v->cache->shape();
    a.n_streams                = op->src[1]->ne[3];
    a.n_kv                     = op->src[1]->ne[1];
    a.first_stream             = view_stream(op->src[1], *a.k);
    a.dk                       = shape_k.head_dim;
    a.dv                       = shape_v.head_dim;
    a.n_kv_heads               = shape_k.n_heads;
    a.n_tokens                 = static_cast<int>(a.q->ne[1]);
    a.n_heads                  = static_cast<int>(a.q->ne[2]);
    a.gqa_ratio                = a.n_heads / a.n_kv_heads;
    a.scale                    = op_float(op, 0);
    a.max_bias                 = op_float(op, 1);
    a.softcap                  = op_float(op, 2);
    const bool fits            = a.q->ne[0] == a.dk && a.n_heads % a.n_kv_heads == 0 && shape_v.n_heads == a.n_kv_heads &&
                      a.n_kv <= shape_k.n_cells && a.first_stream + a.n_streams <= shape_k.n_streams && a.q->ne[3] == a.n_streams;
    if (!fits) return Error{fmt::format("layer {}: attention of an unexpected shape", a.k->name.layer)};
    a.n_rows       = a.n_tokens * a.gqa_ratio;
    a.n_row_chunks = (a.n_rows + kMaxRows - 1) / kMaxRows;
    a.n_splits     = a.n_row_chunks == 1 ? (a.n_kv + kSplitCells - 1) / kSplitCells : 1;
    a.n_units      = (a.n_kv + kBlockTokens - 1) / kBlockTokens;
    a.part_rows    = std::min(a.n_rows, kMaxRows);
    a.part_floats  = padded_floats(static_cast<size_t>(a.part_rows) * static_cast<size_t>(padded_dim(a.dv) + 2));
    a.q_floats     = static_cast<size_t>(kMaxRows) * static_cast<size_t>(padded_dim(a.dk) + 1);
    return a;
}

AttendState state_at(const attention & a, float * memory) {
    float * const m = memory + static_cast<ptrdiff_t>(a.part_rows) * padded_dim(a.dv);
    return {m, m + a.part_rows, memory};
}

// ALiBi slope of a head, as ggml defines it.
float alibi_slope(const attention & a, int head) {
    if (a.max_bias <= 0.0f) return 1.0f;
    const int   power = 1 << static_cast<int>(std::floor(std::log2(a.n_heads)));
    const float m0    = std::pow(2.0f, -a.max_bias / static_cast<float>(power));
    const float m1    = std::pow(2.0f, -a.max_bias / 2.0f / static_cast<float>(power));
    return head < power ? std::pow(m0, static_cast<float>(head + 1)) : std::pow(m1, static_cast<float>(2 * (head - power) + 1));
}

// Mask rows are numbered as the mask stores them: [ne3][ne2][ne1].
int64_t mask_index(const attention & a, int token, int head, int64_t stream) {
    return (stream % a.mask->ne[3] * a.mask->ne[2] + head % a.mask->ne[2]) * a.mask->ne[1] + token;
}
const f16_t * mask_row(const attention & a, int64_t index) {
    const int64_t token = index % a.mask->ne[1], rest = index / a.mask->ne[1];
    const char *  row = static_cast<const char *>(a.mask->data) + static_cast<size_t>(token) * a.mask->nb[1] +
                       static_cast<size_t>(rest % a.mask->ne[2]) * a.mask->nb[2] +
                       static_cast<size_t>(rest / a.mask->ne[2]) * a.mask->nb[3];
    return reinterpret_cast<const f16_t *>(row);
}

// Rows are token-major: row r is token r / gqa_ratio, query head kv_head * gqa_ratio + r % gqa_ratio, so that heads of
// one token are neighbours and causal tiles are skipped for whole chunks.
struct row_place {
    int token, head;
};
row_place place_of(const attention & a, int kv_head, int row) {
    return {row / a.gqa_ratio, kv_head * a.gqa_ratio + row % a.gqa_ratio};
}

// Queries, one partial state, scratch of attend(): all multiples of 64 bytes, the queries because kMaxRows is one of 16.
size_t thread_bytes(const attention & a) {
    return (a.q_floats + a.part_floats) * sizeof(float) + attend_scratch_bytes(a.k->cache->spec(), a.v->cache->spec());
}

// The transform of one side of one KV head, null if there is none.
const PackedTransform * transform_of(const cache_tensor & cache, int kv_head) {
    return cache.transforms ? &(*cache.transforms)[static_cast<size_t>(kv_head)] : nullptr;
}

void finish_rows(const attention & a, const AttendState & state, int64_t stream, int kv_head, int first_row, int n_rows) {
    float weight[kMaxRows];
    for (int r = 0; r < n_rows; ++r) weight[r] = state.l[r] == 0.0f ? 0.0f : 1.0f;
    if (a.sinks != nullptr) {
        float sink[kMaxRows] = {}, m[kMaxRows], l[kMaxRows];
        for (int r = 0; r < n_rows; ++r) {
            sink[r] = static_cast<const float *>(a.sinks->data)[place_of(a, kv_head, first_row + r).head];
            m[r]    = state.m[r];
            l[r]    = state.l[r];
        }
        attend_sink(state, sink, n_rows, a.dv);
        for (int r = 0; r < n_rows; ++r) weight[r] = l[r] == 0.0f ? 0.0f : l[r] * std::exp(m[r] - state.m[r]) / state.l[r];
    }
    attend_finish(state, n_rows, a.dv);
    restore_rows(*a.k->kernels, transform_of(*a.v, kv_head), n_rows, weight, state.o);
    for (int r = 0; r < n_rows; ++r) {
        const row_place place = place_of(a, kv_head, first_row + r);
        char *          out   = static_cast<char *>(a.out->data) + static_cast<size_t>(place.head) * a.out->nb[1] +
                     static_cast<size_t>(place.token) * a.out->nb[2] + static_cast<size_t>(stream) * a.out->nb[3];
        std::memcpy(out, state.o + static_cast<ptrdiff_t>(r) * padded_dim(a.dv), sizeof(float) * static_cast<size_t>(a.dv));
    }
}

// The transform of queries leaves out what is the same for all keys of a row, q . center; only these notice.
bool needs_center(const attention & a) { return a.sinks != nullptr || a.softcap > 0.0f; }

// Queries of a chunk as attend() wants them.   q [kMaxRows][padded_dim(dk)], then [kMaxRows] logits of the center
void load_queries(const attention & a, int64_t stream, int kv_head, int first_row, int n_rows, float * q) {
    const int stride = padded_dim(a.dk);
    for (int r = 0; r < n_rows; ++r) {
        const row_place place = place_of(a, kv_head, first_row + r);
        const char *    src   = static_cast<const char *>(a.q->data) + static_cast<size_t>(place.token) * a.q->nb[1] +
                           static_cast<size_t>(place.head) * a.q->nb[2] + static_cast<size_t>(stream) * a.q->nb[3];
        const float * from = reinterpret_cast<const float *>(src);
        for (int d = 0; d < stride; ++d) q[r * stride + d] = d < a.dk ? from[d] * a.scale : 0.0f;
    }
    transform_queries(*a.k->kernels, transform_of(*a.k, kv_head), n_rows, q,
                      needs_center(a) ? q + static_cast<ptrdiff_t>(kMaxRows) * stride : nullptr);
}

// One work item: a chunk of rows of one KV head over one part of the cells.
//   queries  of load_queries(), shared by the parts of a split; null: the item loads its own
void run_item(const attention & a, int64_t stream, int kv_head, int chunk, int64_t split, uint8_t * memory, const float * queries,
              float * part) {
    const int first_row = chunk * kMaxRows;
    const int n_rows    = std::min(kMaxRows, a.n_rows - first_row);
    float *   own_q     = reinterpret_cast<float *>(memory);
    float *   own_part  = own_q + a.q_floats;
    auto *    scratch   = reinterpret_cast<uint8_t *>(own_part + a.part_floats);
    if (queries == nullptr) load_queries(a, stream, kv_head, first_row, n_rows, own_q);
    const float * q = queries != nullptr ? queries : own_q;

    const f16_t *      mask[kMaxRows];
    const Visibility * seen[kMaxRows];
    float              slope[kMaxRows];
    for (int r = 0; r < n_rows; ++r) {
        const row_place place = place_of(a, kv_head, first_row + r);
        slope[r]              = alibi_slope(a, place.head);
        if (a.mask != nullptr) {
            const int64_t index = mask_index(a, place.token, place.head, stream);
            mask[r]             = mask_row(a, index);
            seen[r]             = a.seen + index * a.n_units;
        }
    }
    AttendRows rows{n_rows, q};
    rows.softcap = a.softcap;
    if (a.mask != nullptr) {
        rows.mask = mask;
        rows.seen = seen;
    }
    if (a.max_bias > 0.0f) rows.slope = slope;
    if (needs_center(a) && a.k->transforms) rows.bias = q + static_cast<ptrdiff_t>(kMaxRows) * padded_dim(a.dk);
    rows.goes_on            = (split + 1) * kSplitCells < a.n_kv && a.n_splits > 1;  // what this thread most likely takes next
    const AttendState state = state_at(a, a.n_splits > 1 ? part : own_part);
    attend_init(state, n_rows, a.dv);
    const int64_t first_cell = split * kSplitCells;
    const int64_t last_cell  = a.n_splits > 1 ? std::min(a.n_kv, first_cell + kSplitCells) : a.n_kv;
    attend(*a.k->kernels, a.k->cache->head(a.first_stream + stream, kv_head), a.v->cache->head(a.first_stream + stream, kv_head),
           rows, first_cell, last_cell, state, scratch);
    if (a.n_splits == 1) finish_rows(a, state, stream, kv_head, first_row, n_rows);
}

// Finds the first tokens of sequences among the batch and keeps them at 16 bits.
void keep_sinks(const attention & a, op_scratch & scratch) {
    const int limit = a.k->kept.sink_tokens;  // one number for the whole plan
    if (limit == 0 || a.mask == nullptr) return;
    for (int64_t s = 0; s < a.n_streams; ++s) {
        for (int t = 0; t < a.n_tokens; ++t) {
            const int64_t index = mask_index(a, t, 0, s);
            for (cache_tensor * side : {a.k, a.v}) side->cache->touch_sinks(a.first_stream + s, mask_row(a, index), a.n_kv);
            first_cells(mask_row(a, index), a.n_kv, a.seen + index * a.n_units, limit, scratch.cells);
            if (scratch.cells.empty()) continue;
            if (a.k->format.codec != Codec::f16) make_sinks(scratch.cells, a.first_stream + s, scratch.waiting_k, *a.k);
            if (a.v->format.codec != Codec::f16) make_sinks(scratch.cells, a.first_stream + s, scratch.waiting_v, *a.v);
        }
    }
}

// Errors: a query sees a cell that holds something wrong.
Status check_cells(const attention & a) {
    for (const cache_tensor * side : {a.k, a.v}) {
        for (int64_t s = 0; s < a.n_streams && !side->unusable.empty(); ++s) {
            for (int t = 0; t < a.n_tokens; ++t) {
                const f16_t * mask = a.mask == nullptr ? nullptr : mask_row(a, mask_index(a, t, 0, s));
                KVT_CHECK_OK(side->check_visible(a.first_stream + s, mask, a.n_kv));
            }
        }
    }
    return ok_status();
}

void tap_queries(const attention & a) {
    kvt_tap tap{};
    tap.kind         = KVT_TAP_Q;
    tap.layer        = a.k->name.layer;
    tap.n_tokens     = a.n_tokens;
    tap.n_heads      = a.n_heads;
    tap.head_dim     = a.dk;
    tap.n_kv         = static_cast<int>(a.n_kv);
    tap.scale        = a.scale;
    tap.data         = static_cast<const float *>(a.q->data);
    tap.stride_token = static_cast<int64_t>(a.q->nb[1] / sizeof(float));
    tap.stride_head  = static_cast<int64_t>(a.q->nb[2] / sizeof(float));
    run_tap(tap);
}

}  // namespace

bool supports_flash_attn(const ggml_tensor * op) {
    const ggml_tensor * q       = op->src[0];
    const ggml_tensor * k       = op->src[1];
    const ggml_tensor * v       = op->src[2];
    cache_tensor *      cache_k = cache_tensor_of(k);
    cache_tensor *      cache_v = cache_tensor_of(v);
    if (cache_k == nullptr || cache_v == nullptr) return false;  // other attention stays with the CPU backend
    if (cache_k == cache_v) {
        fail_once(kLatent);  // while the host plans its graph; storing rows then ends with the same words
        return false;
    }
    if (q->type != GGML_TYPE_F32 || (op->src[3] != nullptr && op->src[3]->type != GGML_TYPE_F16)) return false;
    for (const auto & [cache, head_dim] : {std::pair{cache_k, k->ne[0]}, std::pair{cache_v, v->ne[0]}}) {
        const Status learned = cache->learn_head_dim(static_cast<int>(head_dim));
        if (!learned.ok()) {
            fail(learned.error().message);
            return true;  // claimed, so that computing it fails in words instead of reading a cache that was never made
        }
    }
    return true;
}

Status compute_flash_attn(const ggml_tensor * op, int n_threads, op_scratch & scratch) {
    KVT_TRY(attention a, describe(op));
    KVT_CHECK_OK(check_cells(a));
    if (tap_active()) tap_queries(a);

    const int64_t n_items     = a.n_streams * a.n_kv_heads * a.n_row_chunks * a.n_splits;
    const int64_t n_heads_all = a.n_streams * a.n_kv_heads;
    if (scratch.per_thread.size() < static_cast<size_t>(n_threads)) scratch.per_thread.resize(static_cast<size_t>(n_threads));
    for (auto & memory : scratch.per_thread) memory.reserve(thread_bytes(a));
    const int64_t n_mask_rows = a.mask != nullptr ? a.mask->ne[1] * a.mask->ne[2] * a.mask->ne[3] : 0;
    if (scratch.seen.size() < static_cast<size_t>(n_mask_rows * a.n_units))
        scratch.seen.resize(static_cast<size_t>(n_mask_rows * a.n_units));
    a.seen           = scratch.seen.data();
    const bool split = a.n_splits > 1;
    if (split && scratch.parts.size() < static_cast<size_t>(n_items) * a.part_floats)
        scratch.parts.resize(static_cast<size_t>(n_items) * a.part_floats);
    // Parts of one KV head share its queries: a dense transform of 4 rows costs as much as a quarter of 512 cells.
    if (split && scratch.queries.size() < static_cast<size_t>(n_heads_all) * a.q_floats)
        scratch.queries.resize(static_cast<size_t>(n_heads_all) * a.q_floats);

    // Parts of one head that follow each other in memory, so that the end of one fetches the start of the next.
    const int64_t n_together = split ? std::clamp<int64_t>(n_items / (8 * n_threads), 1, kPartsTogether) : 1;

    ParallelErrors errors;
#pragma omp parallel num_threads(n_threads)
    {
        uint8_t * memory = scratch.per_thread[static_cast<size_t>(omp_get_thread_num())].data();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n_mask_rows; ++i) find_visibility(mask_row(a, i), a.n_kv, scratch.seen.data() + i * a.n_units);
#pragma omp single
        errors.run([&] { keep_sinks(a, scratch); });
        if (split) {
#pragma omp for schedule(static)
            for (int64_t h = 0; h < n_heads_all; ++h) {
                load_queries(a, h / a.n_kv_heads, static_cast<int>(h % a.n_kv_heads), 0, a.n_rows,
                             scratch.queries.data() + static_cast<size_t>(h) * a.q_floats);
            }
        }
#pragma omp for schedule(dynamic, n_together)
        for (int64_t i = 0; i < n_items; ++i) {
            // Causal prefill: late row chunks see the most cells, so they go first.
            const int64_t part_index = split ? i : n_items - 1 - i;
            const int64_t sp = part_index % a.n_splits, rest = part_index / a.n_splits;
            const int     chunk   = static_cast<int>(rest / n_heads_all);
            const int     kv_head = static_cast<int>(rest % a.n_kv_heads);
            const int64_t stream  = rest % n_heads_all / a.n_kv_heads;
            float *       part    = split ? scratch.parts.data() + static_cast<size_t>(part_index) * a.part_floats : nullptr;
            const float * queries =
                split ? scratch.queries.data() + static_cast<size_t>(rest % n_heads_all) * a.q_floats : nullptr;
            run_item(a, stream, kv_head, chunk, sp, memory, queries, part);
        }
        if (split) {
#pragma omp for schedule(static)
            for (int64_t h = 0; h < n_heads_all; ++h) {
                float *           first = scratch.parts.data() + static_cast<size_t>(h * a.n_splits) * a.part_floats;
                const AttendState state = state_at(a, first);
                for (int64_t sp = 1; sp < a.n_splits; ++sp) {
                    attend_merge(state, state_at(a, first + static_cast<size_t>(sp) * a.part_floats), a.n_rows, a.dv);
                }
                finish_rows(a, state, h / a.n_kv_heads, static_cast<int>(h % a.n_kv_heads), 0, a.n_rows);
            }
        }
    }
    errors.rethrow();
    return ok_status();
}

}  // namespace kvt::plugin
