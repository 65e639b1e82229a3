// What a tune is going to cost, measured on its first tokens and said before the long part begins.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "kvt/engine/model_runner.h"
#include "kvt/tuner/objective_source.h"

namespace kvt::cli {

// --- Interface ---

// Seconds of one prompt token, and of one step that gives each of n_slots sequences a token.
struct TokenCosts {
    double prompt = 0, step = 0;
};

inline constexpr int kForecastTokens = 160;  // the first of which only warm up

// By the f16 cache, at most kForecastTokens of `tokens`, half of them with logits, as plans are scored; steps only if asked for
// (n_slots > 0). `seconds` is the clock. Errors: fewer than 32 tokens, those of decoding.
Result<TokenCosts> measure_tokens(ModelRunner & model, std::span<const Token> tokens, int n_slots, int n_threads,
                                  const std::function<double()> & seconds);

// How often what is done.
struct TuneWork {
    int      evaluations = 0;   // at most
    PlanCost a_plan;            // of the objective
    int64_t  other_tokens = 0;  // calibration before it and held-out texts after it
    uint64_t model_bytes  = 0;
};

// "about 12 minutes (90 plans of 7.9 s, 40 s for calibration and held-out text), about 0.9 GiB of memory"
std::string forecast_text(const TuneWork & work, const TokenCosts & costs);

}  // namespace kvt::cli
