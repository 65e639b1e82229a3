#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "ggml-backend.h"
#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/ops.h"

namespace kvt::plugin {

namespace {

struct backend_deleter {
    void operator()(ggml_backend_t b) const { ggml_backend_free(b); }
};
struct context_deleter {
    void operator()(ggml_context * c) const { ggml_free(c); }
};

// Runs the same op on an f32 copy of the keys: ggml's own RoPE, so every variant it knows is served.
//   keys  [n_cells][n_heads][head_dim], of which the op rotates the first op->src[0]->ne[0] of each head
Status rotate_on_cpu(const ggml_tensor * op, float * keys, int64_t head_dim, int64_t n_heads, int64_t n_cells, int n_threads) {
    const std::unique_ptr<ggml_backend, backend_deleter> cpu(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    if (!cpu) return Error{"context shift needs the CPU backend, which the host did not load"};
    ggml_backend_dev_t cpu_device = ggml_backend_get_device(cpu.get());
    using set_threads_fn          = void (*)(ggml_backend_t, int);
    const auto set_threads        = reinterpret_cast<set_threads_fn>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu_device), "ggml_backend_set_n_threads"));
    if (set_threads != nullptr) set_threads(cpu.get(), n_threads);

    const ggml_init_params params{ggml_tensor_overhead() * 8 + ggml_graph_overhead_custom(8, false), nullptr, true};
    const std::unique_ptr<ggml_context, context_deleter> context(ggml_init(params));
    if (!context) return Error{"context shift: out of memory"};
    ggml_tensor * copy    = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, head_dim, n_heads, n_cells);
    copy->data            = keys;
    ggml_tensor * part    = ggml_view_3d(context.get(), copy, op->src[0]->ne[0], n_heads, n_cells, copy->nb[1], copy->nb[2], 0);
    ggml_tensor * rotated = ggml_view_tensor(context.get(), part);
    rotated->op           = GGML_OP_ROPE;
    rotated->src[0]       = part;
    rotated->src[1]       = op->src[1];
    rotated->src[2]       = op->src[2];
    std::memcpy(rotated->op_params, op->op_params, sizeof rotated->op_params);
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 8, false);
    ggml_build_forward_expand(graph, rotated);  // also marks the node as one to compute
    if (ggml_backend_graph_compute(cpu.get(), graph) != GGML_STATUS_SUCCESS)
        return Error{"context shift: rotating the keys failed"};
    return ok_status();
}

// Rotates the keys of the cells `moved` and stores them again.
Status shift_cells(const ggml_tensor * op, cache_tensor & keys, const std::vector<int64_t> & moved, int n_threads,
                   std::vector<float> & rows) {
    TensorCache &      cache    = *keys.cache;
    const CacheShape & shape    = cache.shape();
    const int64_t      n_cells  = keys.n_cells * keys.n_streams;
    const bool         expected = op->src[0]->ne[0] <= shape.head_dim && op->src[0]->ne[1] == shape.n_heads &&
                          op->src[0]->ne[2] * op->src[0]->ne[3] == n_cells && op->view_offs == 0;
    if (!expected) return Error{fmt::format("layer {}: context shift of an unexpected shape", keys.name.layer)};

    rows.resize(static_cast<size_t>(keys.n_embd * n_cells));
    for (const int64_t c : moved) cache.read_cell(c, rows.data() + c * keys.n_embd);
    KVT_CHECK_OK(rotate_on_cpu(op, rows.data(), shape.head_dim, shape.n_heads, n_cells, n_threads));
    std::vector<int64_t> one(1);
    for (const int64_t c : moved) {
        const float * row    = rows.data() + c * keys.n_embd;
        const int64_t stream = c / keys.n_cells, cell = c % keys.n_cells;
        const bool    sink = cache.is_sink(stream, cell), wrong = keys.unusable.contains(c);
        one[0] = c;
        KVT_CHECK_OK(keys.write_rows(one, row, keys.n_embd));
        if (sink) cache.keep_sink(stream, cell, row);
        if (wrong) keys.unusable.insert(c);  // rotating did not make it right
    }
    return ok_status();
}

}  // namespace

bool supports_rope_shift(const ggml_tensor * op) {
    const cache_tensor * cache = cache_tensor_of(op);
    return cache != nullptr && cache->name.side == Side::key && op->src[1]->type == GGML_TYPE_I32;
}

Status compute_rope_shift(const ggml_tensor * op, int n_threads, op_scratch & scratch) {
    cache_tensor * cache = cache_tensor_of(op);
    if (cache == nullptr || !cache->cache) return Error{"context shift of a cache that holds nothing"};
    const auto * shift = static_cast<const int32_t *>(op->src[1]->data);
    // Only cells that move are rotated and stored again: the others keep their bytes.
    std::vector<int64_t> & moved = scratch.cells;
    moved.clear();
    for (int64_t c = 0; c < op->src[1]->ne[0] && c < cache->n_cells * cache->n_streams; ++c) {
        if (shift[c] != 0) moved.push_back(c);
    }
    if (moved.empty()) return ok_status();
    const Status status = shift_cells(op, *cache, moved, n_threads, scratch.rows);
    if (!status.ok()) {
        // The host goes on after a failed shift, with keys that stand at the wrong positions.
        cache->unusable.insert(moved.begin(), moved.end());
        cache->why_unusable = status.error().message;
    }
    return status;
}

}  // namespace kvt::plugin
