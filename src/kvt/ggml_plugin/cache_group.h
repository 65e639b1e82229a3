// The cache tensors that the host allocates together, those of one model. Which of several plans they follow is known only when
// all were seen, but ggml wants the size of each before: until then a tensor counts as large as it may get.
//
// ggml asks for all sizes, then for a buffer of their sum, then places one tensor after the other. When llama.cpp tries out what
// fits into memory, it asks for sizes alone, in any order, and nothing follows.
#pragma once

#include <memory>
#include <vector>

#include "ggml.h"
#include "kvt/base/result.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

// --- Interface ---

class cache_group {
public:
    // Bytes of a cache tensor: the exact ones once its buffer was made. Errors: those of cache_tensor_bytes, no plan at all.
    Result<size_t> bytes_of(const ggml_tensor & tensor);

    // What a buffer is for.
    struct purpose {
        std::shared_ptr<const plan_source> source;     // null: no cache will come into it
        size_t                             bytes = 0;  // to allocate
    };
    // The host wants a buffer of `size` bytes.   alignment  of each tensor. Errors: no plan fits, or more than one.
    Result<purpose> buffer_wanted(size_t size, size_t alignment);

    void placed(const ggml_tensor & tensor);
    void forget();

private:
    struct member {
        ggml_tensor tensor;     // a copy: name, type and shape of it are used
        size_t      bytes = 0;  // as they were told
    };
    member * find(const ggml_tensor & tensor);

    std::vector<member>                members_;  // in the order in which they were asked for
    std::shared_ptr<const plan_source> source_;   // once their buffer was made
};

}  // namespace kvt::plugin
