// The four errors of one layer on one captured prompt (KVTuner section 4; method.md 2): simulated quantization of what a
// full-precision run computed, so nothing accumulates over layers.
//
//   e_k, e_v  sum |x - x'| / sum |x| over the channels of one token (guard: eps per channel), mean over tokens, per KV head
//   e_a       mean over attended positions, then decode steps, of |a - a'|, per query head (keys' bits only)
//   e_o       sum |o - o'| / sum |o| over the channels of one output, mean over decode steps, per query head
// The paper leaves open whether the ratio is taken per element or per vector; docs/design/0003-relative-error.md says why
// it is the vector's here.
// Lower is better. Float arithmetic, double sums. KIVI mode quantizes whole blocks of 32 tokens and leaves the rest exact.
#pragma once

#include <vector>

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// One layer of one prompt: K and V of prefill and decode, Q of the decode steps. Step i stands at token n_tokens - n_steps + i
// and sees the tokens up to itself.
struct LayerCapture {
    int                n_kv_heads = 0, n_q_heads = 0, head_dim_k = 0, head_dim_v = 0;
    int                n_tokens = 0, n_steps = 0;
    float              scale = 0;  // of the logits
    std::vector<float> k;          // [n_tokens, n_kv_heads, head_dim_k], after RoPE
    std::vector<float> v;          // [n_tokens, n_kv_heads, head_dim_v]
    std::vector<float> q;          // [n_steps, n_q_heads, head_dim_k]
};

// Per-head errors and their means over heads. n_steps must be at least 1.
LayerErrors prompt_errors(const LayerCapture & capture, Mode mode, double eps);

// Mean of several prompts with equal weight. All must have the same layer and heads; not empty.
LayerErrors mean_errors(const std::vector<LayerErrors> & prompts);

}  // namespace kvt
