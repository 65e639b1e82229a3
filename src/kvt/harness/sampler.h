// Chooses the next token: the likeliest, or a draw that depends on nothing but the logits, the settings and a seed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kvt/base/result.h"
#include "kvt/base/rng.h"
#include "kvt/engine/model_runner.h"

namespace kvt {

// --- Interface ---

// temperature 0: the largest logit, lowest id on a tie. Else top_k (0: off), then top_p at temperature 1, then a draw at
// `temperature`.
struct Sampling {
    double temperature = 0, top_p = 1;
    int    top_k = 0;

    bool greedy() const { return temperature == 0; }
};

// Errors: temperature below 0, top_p outside (0, 1], top_k below 0, anything not finite.
Status check_sampling(const Sampling & sampling);

// Equal for every plan, and independent of order and resumption: the low 32 bits of splitmix64's finaliser over FNV-1a 64 of
// "{task}\n{item}\n{sample}\n{seed}" (evaluation.md 8.1). "gsm8k", "0", 0, 42 gives 2341935006.
uint32_t sampler_seed(std::string_view task, std::string_view item, int sample, uint64_t seed);

class Sampler {
public:
    Sampler(const Sampling & sampling, uint32_t seed) : sampling_(sampling), rng_(seed) {}

    // logits [n_vocab] f32. Errors: a NaN or an infinity among them.
    Result<Token> next(std::span<const float> logits);

private:
    Sampling   sampling_;
    SplitMix64 rng_;
};

}  // namespace kvt
