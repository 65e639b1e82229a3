// One cache tensor of llama.cpp ("cache_k_l3", "cache_v_l3") as our buffer holds it: what ggml believes is f16 rows of
// n_embd elements is packed storage.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ggml.h"
#include "kvt/cache/tensor_cache.h"

namespace kvt::plugin {

// --- Interface ---

struct cache_name {
    Side side  = Side::key;
    int  layer = 0;
};

// Parses "cache_k_l3", "cache_swa_v_l12" and the like; none for other tensors.
std::optional<cache_name> parse_cache_name(std::string_view name);
// "cache_r_l0", "cache_s_l0": the state of a recurrent or convolution layer, which llama.cpp updates with ops of all kinds.
bool is_recurrent_state(std::string_view name);

struct plan_source;

// Bytes that a cache tensor takes in our buffer under a plan. Errors: wrong type or shape.
Result<size_t> cache_tensor_bytes(const ggml_tensor * tensor, const plan_source & source);

struct cache_tensor {
    cache_name                                          name;
    std::shared_ptr<const plan_source>                  source;
    Format                                              format;
    Kept                                                kept;
    std::shared_ptr<const std::vector<PackedTransform>> transforms;
    int64_t                                             n_embd = 0, n_cells = 0, n_streams = 1;
    size_t                                              bytes   = 0;
    uint8_t *                                           memory  = nullptr;
    const KernelTable *                                 kernels = nullptr;
    std::optional<TensorCache>                          cache;          // made as soon as head_dim is known
    uint64_t                                            signature = 0;  // of saved rows: what they were packed by

    // Cells that hold something wrong until they are written again: rows of another plan, keys that could not be shifted.
    std::set<int64_t> unusable;
    std::string       why_unusable;

    // Fixes head_dim (idempotent). Errors: it contradicts the plan or the allocated size.
    Status learn_head_dim(int head_dim);

    // The tensor as the host sees it, rows [n_streams * n_cells][n_embd] of 16 bits: bytes offset .. offset+size of it.
    Status get_f16(size_t offset, size_t size, void * out);  // decoded
    Status save(size_t offset, size_t size, void * out);     // for load(); bit for bit where cache/saved_row.h says so
    Status load(size_t offset, size_t size, const void * in);

    // Errors: a query sees a cell that is not usable.   mask  [n] f16 of one query, null: all are visible
    Status check_visible(int64_t stream, const f16_t * mask, int64_t n) const;

    Status write_rows(std::vector<int64_t> & cells, const float * rows, int64_t row_stride);
};

// The cache tensor behind `tensor` or the tensor it is a view of; null for others.
cache_tensor * cache_tensor_of(const ggml_tensor * tensor);

// Whether a cache tensor of this layer was ever made under this plan.
bool layer_is_here(const plan_source & source, int layer);

// Makes the object for a tensor whose memory was assigned. Errors as cache_tensor_bytes.
Result<cache_tensor> make_cache_tensor(const ggml_tensor * tensor, const std::shared_ptr<const plan_source> & source);

}  // namespace kvt::plugin
