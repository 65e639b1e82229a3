// Bytes and bits of a plan: what the plugin allocates, what the tuner pays.
#include "kvt/plan/plan.h"

#include "kvt/base/fp16.h"
#include "kvt/quant/tile.h"

namespace kvt {

uint64_t tensor_bytes(const Format & f, Side side, int n_kv_heads, int head_dim, uint64_t n_cells, uint64_t n_streams,
                      const Kept & kept) {
    const auto     whole    = [](int n) { return static_cast<uint64_t>(n); };
    const uint64_t heads    = whole(n_kv_heads);
    const uint64_t n_blocks = (n_cells + whole(tile_tokens(f)) - 1) / whole(tile_tokens(f));
    const uint64_t open     = whole(open_blocks(f, kept) * tile_parts(f)) * tile_bytes(f16_format(), side, head_dim);
    const uint64_t sinks    = heads * whole(sink_slots(f, kept, n_streams)) * whole(head_dim) * sizeof(f16_t);
    return n_streams * (heads * (n_blocks * tile_bytes(f, side, head_dim) + open) + (sinks + 63) / 64 * 64);
}

CacheSize plan_size(const PrecisionPlan & plan, uint64_t n_cells, uint64_t n_streams) {
    const ModelInfo & m = plan.model;
    CacheSize         size;
    for (const LayerPlan & layer : plan.layers) {
        size.bytes += tensor_bytes(layer.k, Side::key, m.n_kv_heads, m.head_dim_k, n_cells, n_streams, plan.kept);
        size.bytes += tensor_bytes(layer.v, Side::value, m.n_kv_heads, m.head_dim_v, n_cells, n_streams, plan.kept);
        size.bytes_f16 += tensor_bytes(f16_format(), Side::key, m.n_kv_heads, m.head_dim_k, n_cells, n_streams, plan.kept);
        size.bytes_f16 += tensor_bytes(f16_format(), Side::value, m.n_kv_heads, m.head_dim_v, n_cells, n_streams, plan.kept);
    }
    const uint64_t elements = n_streams * n_cells * static_cast<uint64_t>(m.n_kv_heads) *
                              static_cast<uint64_t>(m.head_dim_k + m.head_dim_v) * plan.layers.size();
    if (elements > 0) size.effective_bits = 8.0 * static_cast<double>(size.bytes) / static_cast<double>(elements);
    return size;
}

double payload_bits(const PrecisionPlan & plan) {
    if (plan.layers.empty()) return 0;
    int sum = 0;
    for (const LayerPlan & layer : plan.layers) sum += layer.k.bits + layer.v.bits;
    return static_cast<double>(sum) / (2.0 * static_cast<double>(plan.layers.size()));
}

}  // namespace kvt
