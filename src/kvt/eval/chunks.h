// Cuts a tokenized text into the chunks that perplexity and KL divergence are measured on (evaluation.md 1.1).
#pragma once

#include <span>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"

namespace kvt {

// --- Interface ---

enum class LongContext : uint8_t { refuse, allow };  // contexts above the training length

struct Chunks {
    int                             n_ctx = 0;
    std::vector<std::vector<Token>> tokens;  // [n_chunks][n_ctx]; the first of each is BOS if the model wants one

    // The logits at pos in [first_scored, n_ctx - 2] predict token pos + 1.
    int first_scored() const { return n_ctx / 2; }
    int scored_per_chunk() const { return n_ctx - 1 - first_scored(); }
};

// Chunk i is tokens [i * n_ctx, (i + 1) * n_ctx); what is left over at the end is dropped. max_chunks 0: all.
// Errors: n_ctx < 4 or above the training length, fewer than 2 * n_ctx tokens.
Result<Chunks> make_chunks(const ModelRunner & runner, std::span<const Token> tokens, int n_ctx, int max_chunks,
                           LongContext long_context = LongContext::refuse);

// How a chunk is fed: whole, or its first half at once and then token by token as generation does.
enum class EvalMode : uint8_t { batch, decode };
const char * eval_mode_name(EvalMode mode);  // "batch", "decode"

// Slices of one chunk in feeding order, none longer than n_batch.
std::vector<std::span<const Token>> chunk_slices(const Chunks & chunks, size_t chunk, EvalMode mode, int n_batch);

}  // namespace kvt
