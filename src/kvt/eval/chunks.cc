#include "kvt/eval/chunks.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

Result<Chunks> make_chunks(const ModelRunner & runner, std::span<const Token> tokens, int n_ctx, int max_chunks,
                           LongContext long_context) {
    if (n_ctx < 4) return Error{fmt::format("context {} is too short: at least 4 tokens", n_ctx)};
    if (max_chunks < 0) return Error{fmt::format("number of chunks {} must not be negative", max_chunks)};
    if (n_ctx > runner.n_ctx_train() && long_context == LongContext::refuse) {
        return Error{fmt::format("context {} is longer than the {} tokens the model was trained on; --force measures anyway",
                                 n_ctx, runner.n_ctx_train())};
    }
    const size_t n = static_cast<size_t>(n_ctx);
    if (tokens.size() < 2 * n) {
        return Error{
            fmt::format("the text has {} tokens, at least {} are needed for contexts of {}: use a longer text or a smaller --ctx",
                        tokens.size(), 2 * n, n_ctx)};
    }
    size_t n_chunks = tokens.size() / n;
    if (max_chunks > 0) n_chunks = std::min(n_chunks, static_cast<size_t>(max_chunks));
    Chunks chunks;
    chunks.n_ctx = n_ctx;
    for (size_t i = 0; i < n_chunks; ++i) {
        const auto part = tokens.subspan(i * n, n);
        auto &     copy = chunks.tokens.emplace_back(part.begin(), part.end());
        if (runner.adds_bos()) copy[0] = runner.bos();
    }
    return chunks;
}

const char * eval_mode_name(EvalMode mode) { return mode == EvalMode::batch ? "batch" : "decode"; }

std::vector<std::span<const Token>> chunk_slices(const Chunks & chunks, size_t chunk, EvalMode mode, int n_batch) {
    const std::span<const Token>        all(chunks.tokens[chunk]);
    const size_t                        first = static_cast<size_t>(chunks.first_scored());
    std::vector<std::span<const Token>> slices;
    for (size_t at = 0; at < all.size();) {
        const bool   single = mode == EvalMode::decode && at >= first;
        const size_t end    = mode == EvalMode::decode && at < first ? first : all.size();
        const size_t n      = single ? 1 : std::min(static_cast<size_t>(n_batch), end - at);
        slices.push_back(all.subspan(at, n));
        at += n;
    }
    if (mode == EvalMode::decode) slices.pop_back();  // the last token predicts nothing that is scored
    return slices;
}

}  // namespace kvt
