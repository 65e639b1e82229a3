#include <fmt/format.h>

#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/ops.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

namespace {

constexpr std::string_view kTransposed = "the V cache is transposed, which happens without flash attention: run with -fa on";

void tap_rows(const cache_tensor & cache, const std::vector<int64_t> & cells, const float * rows, int64_t row_stride) {
    const CacheShape & shape = cache.cache->shape();
    kvt_tap            tap{};
    tap.kind         = cache.name.side == Side::key ? KVT_TAP_K : KVT_TAP_V;
    tap.layer        = cache.name.layer;
    tap.n_tokens     = static_cast<int>(cells.size());
    tap.n_heads      = shape.n_heads;
    tap.head_dim     = shape.head_dim;
    tap.data         = rows;
    tap.stride_token = row_stride;
    tap.stride_head  = shape.head_dim;
    tap.cells        = cells.data();
    run_tap(tap);
}

}  // namespace

bool supports_set_rows(const ggml_tensor * op) {
    const ggml_tensor *  rows  = op->src[0];
    const ggml_tensor *  idxs  = op->src[1];
    const cache_tensor * cache = cache_tensor_of(op);
    // An unsupported op on a cache tensor makes the host abort, so -fa off is told here, when the host plans its graph, and
    // refused when the op runs.
    if (cache != nullptr && rows->ne[0] != cache->n_embd) fail_once(kTransposed);
    return rows->type == GGML_TYPE_F32 && idxs->type == GGML_TYPE_I64;
}

Status compute_set_rows(const ggml_tensor * op, op_scratch & scratch) {
    cache_tensor * cache = cache_tensor_of(op);
    if (cache == nullptr) return Error{fmt::format("{}: rows can only be stored into a KV cache", op->name)};
    const ggml_tensor * rows = op->src[0];
    const ggml_tensor * idxs = op->src[1];
    if (rows->ne[0] != cache->n_embd) {
        return Error{std::string(kTransposed)};
    }
    if (!cache->cache) return Error{std::string(kLatent)};
    if (rows->ne[2] != 1 || rows->ne[3] != 1) return Error{fmt::format("{}: rows of more than two dimensions", op->name)};
    const auto * index = static_cast<const int64_t *>(idxs->data);
    scratch.cells.assign(index, index + rows->ne[1]);
    const auto *  data   = static_cast<const float *>(rows->data);
    const int64_t stride = static_cast<int64_t>(rows->nb[1] / sizeof(float));
    if (tap_active()) tap_rows(*cache, scratch.cells, data, stride);
    keep_rows(*cache, scratch.cells, data, stride, cache->name.side == Side::key ? scratch.waiting_k : scratch.waiting_v);
    return cache->write_rows(scratch.cells, data, stride);
}

}  // namespace kvt::plugin
