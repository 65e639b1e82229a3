// A llama.cpp context with the cache of a plan, and one call of its graph; what sessions and slots share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <llama.h>

#include "kvt/base/result.h"
#include "kvt/engine/llama/llama_runner.h"

namespace kvt {

// --- Interface ---

struct ContextDeleter {
    void operator()(llama_context * context) const;
};
using LlamaContext = std::unique_ptr<llama_context, ContextDeleter>;

// options.n_ctx cells for each of n_sequences, every one in a stream of its own.
// Errors: options out of range, a plan that the model or the plugin refuses (its words), no memory.
Result<LlamaContext> make_context(const LoadedModel & model, const SessionOptions & options, uint32_t n_sequences);

// Errors: it is not in the model's vocabulary.
Status check_token(const LoadedModel & model, Token token);

// Logits of token `i` of the batch that was run last. Errors: llama.cpp gives none.
Result<std::span<const float>> logits_of(const LoadedModel & model, llama_context * context, size_t i);

inline constexpr const char * kInterrupted = "interrupted";

// Runs the graph of one batch. Empty when all went well, else why not; kInterrupted after Ctrl-C.
std::string decode_batch(const LoadedModel & model, llama_context * context, const llama_batch & batch, bool with_plan);

}  // namespace kvt
