// One cache tensor of llama.cpp ("cache_k_l3", "cache_v_l3") as our buffer holds it: what ggml believes is f16 rows of
// n_embd elements is packed storage.
#pragma once

#include <mutex>
#include <optional>
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

// Bytes that a cache tensor takes in our buffer under the current plan. Errors: no plan, wrong type or shape.
Result<size_t> cache_tensor_bytes(const ggml_tensor * tensor);

struct cache_tensor {
    cache_name                                          name;
    Format                                              format;
    Kept                                                kept;
    std::shared_ptr<const std::vector<PackedTransform>> transforms;
    int64_t                                             n_embd = 0, n_cells = 0, n_streams = 1;
    size_t                                              bytes   = 0;
    uint8_t *                                           memory  = nullptr;
    const KernelTable *                                 kernels = nullptr;
    std::optional<TensorCache>                          cache;       // made as soon as head_dim is known
    std::vector<float>                                  row_buffer;  // [n_embd] for get and set

    // Fixes head_dim (idempotent). Errors: it contradicts the plan or the allocated size.
    Status learn_head_dim(int head_dim);

    // The f16 image of the tensor that the host sees: bytes offset .. offset+size of rows [n_streams * n_cells][n_embd].
    Status get_f16(size_t offset, size_t size, void * out);
    Status set_f16(size_t offset, size_t size, const void * in);

    Status write_rows(std::vector<int64_t> & cells, const float * rows, int64_t row_stride);
};

// The cache tensor behind `tensor` or the tensor it is a view of; null for others.
cache_tensor * cache_tensor_of(const ggml_tensor * tensor);

// Makes the object for a tensor whose memory was assigned. Errors as cache_tensor_bytes.
Result<cache_tensor> make_cache_tensor(const ggml_tensor * tensor);

}  // namespace kvt::plugin
