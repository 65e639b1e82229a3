// The ops the device computes: writing rows into the cache, attention on it, and what else touches it in place.
#pragma once

#include <string_view>
#include <vector>

#include "ggml.h"
#include "kvt/base/aligned_buffer.h"
#include "kvt/base/result.h"
#include "kvt/ggml_plugin/sink_finder.h"
#include "kvt/kernels/attend.h"

namespace kvt::plugin {

// --- Interface ---

// Memory reused from call to call, so that generation allocates nothing.
struct op_scratch {
    std::vector<int64_t>       cells;
    std::vector<float>         rows;
    std::vector<AlignedBuffer> per_thread;
    std::vector<float>         parts, queries;
    std::vector<Visibility>    seen;  // of every row of the mask
    waiting_rows               waiting_k, waiting_v;
};

// Why a model with multi-head latent attention gets no answer: its values are a view of its keys.
inline constexpr std::string_view kLatent =
    "keys and values share one latent row (MLA), or flash attention is off: this device serves neither, run without --device "
    "KVT0";

bool   supports_set_rows(const ggml_tensor * op);
Status compute_set_rows(const ggml_tensor * op, op_scratch & scratch);

bool   supports_flash_attn(const ggml_tensor * op);
Status compute_flash_attn(const ggml_tensor * op, int n_threads, op_scratch & scratch);

// RoPE in place on stored keys (context shift): decoded, rotated by the CPU backend, stored again.
bool   supports_rope_shift(const ggml_tensor * op);
Status compute_rope_shift(const ggml_tensor * op, int n_threads, op_scratch & scratch);

}  // namespace kvt::plugin
