// Scores many plans on the same tokens: what the search calls thousands of times.
//
// The reference runs once; its probabilities stay in memory. A score then costs one forward pass of the tokens and one fast
// pass over each row of logits (log_softmax.h), a few percent of the forward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/chunks.h"
#include "kvt/eval/kld_stats.h"
#include "kvt/eval/log_softmax.h"

namespace kvt {

// --- Interface ---

struct ScorerOptions {
    int      n_ctx = 512, max_chunks = 8;  // 0: all chunks of the text
    int      n_batch = 512, n_ubatch = 512, n_threads = 0;
    uint64_t max_bytes = uint64_t{4} << 30;  // of reference probabilities, f32
    uint64_t seed      = 1;
    int      resamples = kDefaultResamples;
};

inline constexpr double kClip = 0.1;  // nats; the 99th percentile of rotated 4-bit plans

struct KldScore {
    double              mean   = 0;
    double              ci_low = 0, ci_high = 0;  // NaN with fewer than 8 chunks
    std::vector<double> chunk_means;
    // The same with every token's divergence cut to kClip: one token in a thousand carries a third of a mean, and hides small
    // differences between plans.
    std::vector<double> clipped_means;
    int64_t             n_tokens = 0;
};

class KldScorer {
public:
    // `runner` must outlive the scorer. Errors: text too short, more than max_bytes of probabilities (the message says how many
    // chunks fit), logits that are not finite, "interrupted".
    static Result<KldScorer> create(ModelRunner & runner, std::span<const Token> tokens, const ScorerOptions & options,
                                    Progress & progress);

    // Errors: a plan that the engine refuses, logits that are not finite, "interrupted".
    Result<KldScore> score(const PrecisionPlan & plan) const;

    int     n_chunks() const { return static_cast<int>(chunks_.tokens.size()); }
    int64_t n_tokens() const { return static_cast<int64_t>(references_.size()); }

private:
    KldScorer(ModelRunner & runner, Chunks chunks, const ScorerOptions & options);
    Result<std::unique_ptr<Session>> open(std::optional<PrecisionPlan> plan) const;
    size_t                           index(size_t chunk, int position) const;

    ModelRunner *              runner_;
    Chunks                     chunks_;
    ScorerOptions              options_;
    ChunkDraws                 draws_;
    std::vector<float>         probabilities_;  // [n_tokens][n_vocab]
    std::vector<FastReference> references_;     // [n_tokens]
};

}  // namespace kvt
