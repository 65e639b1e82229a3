// What reader and writer of the plan file share: names of enum values, limits, and the figures derived from the layers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "kvt/plan/plan.h"
#include "kvt/quant/tile.h"

namespace kvt::schema {

// --- Interface ---

inline constexpr std::string_view kName    = "kvtuner.plan";
inline constexpr int              kVersion = 1;

inline constexpr size_t kMaxTextBytes = size_t(16) << 20;  // 4096 layers take about 0.5 MiB
inline constexpr int    kMaxDepth     = 16;                // the schema nests 4 deep; x_ keys may nest further
inline constexpr int    kMaxLayers    = 4096;
inline constexpr int    kMaxHeads     = 4096;
inline constexpr int    kMaxHeadDim   = 1024;
inline constexpr int    kMaxPositions = 1 << 30;
inline constexpr int    kMaxSinks     = 64;
inline constexpr int    kMaxResidual  = 4096;
inline constexpr int    kAtTokens     = 4096;  // cells at which effective_bits is stated

constexpr std::string_view axis_name(Axis axis) { return axis == Axis::per_channel ? "per-channel" : "per-token"; }
constexpr std::string_view store_name(Store store) { return store == Store::sealed_block ? "sealed-block" : "on-write"; }
constexpr std::string_view params_name(Params params) { return params == Params::byte ? "byte" : "f16"; }
constexpr std::string_view rotation_name(Rotation rotation) {
    return rotation == Rotation::dense ? "dense" : rotation == Rotation::hadamard ? "hadamard" : "none";
}
constexpr std::string_view attention_name(Attention attn) { return attn == Attention::sliding ? "sliding" : "full"; }

// Bytes of one tile (tile_tokens(f) tokens), all KV heads of one side of one layer.
constexpr uint64_t tile_row_bytes(const Format & f, Side side, const ModelInfo & m) {
    return static_cast<uint64_t>(m.n_kv_heads) * tile_bytes(f, side, side == Side::key ? m.head_dim_k : m.head_dim_v);
}

// The "memory" object, a function of the rest of the plan.
struct Memory {
    int      block_tokens        = kBlockTokens;  // the longest tile of any layer
    uint64_t bytes_per_block     = 0;             // block_tokens tokens, all layers, K and V
    uint64_t bytes_per_block_f16 = 0;
    uint64_t open_bytes          = 0;  // 16-bit blocks of the sealed formats and sink tokens, of the only stream
    double   payload_bits = 0, effective_bits = 0;
    int      at_tokens = kAtTokens;

    double bytes_per_token() const { return static_cast<double>(bytes_per_block) / block_tokens; }  // of every further token
};

inline Memory memory_of(const PrecisionPlan & plan) {
    Memory memory;
    for (const LayerPlan & layer : plan.layers)
        memory.block_tokens = std::max({memory.block_tokens, tile_tokens(layer.k), tile_tokens(layer.v)});
    for (const LayerPlan & layer : plan.layers) {
        for (const Side side : {Side::key, Side::value}) {
            const Format & f        = side == Side::key ? layer.k : layer.v;
            const auto     per_tile = static_cast<uint64_t>(memory.block_tokens / tile_tokens(f));
            const auto     parts    = static_cast<uint64_t>(memory.block_tokens / kBlockTokens);
            const uint64_t part_f16 = tile_row_bytes(f16_format(), side, plan.model);
            memory.bytes_per_block += per_tile * tile_row_bytes(f, side, plan.model);
            memory.bytes_per_block_f16 += parts * part_f16;
            const int dim = side == Side::key ? plan.model.head_dim_k : plan.model.head_dim_v;
            memory.open_bytes += tensor_bytes(f, side, plan.model.n_kv_heads, dim, 0, 1, plan.kept);
        }
    }
    memory.payload_bits   = payload_bits(plan);
    memory.effective_bits = plan_size(plan, kAtTokens).effective_bits;
    return memory;
}

}  // namespace kvt::schema
