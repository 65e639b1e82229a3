// Statistics of token scores with chunk bootstrap intervals (evaluation.md 1.3, 1.4).
//
// Tokens inside a chunk are correlated, so whole chunks are drawn with replacement and every statistic is computed again from
// the pooled tokens. All plans of one run share the draws, which makes differences between them paired.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/base/stats.h"
#include "kvt/eval/token_scores.h"

namespace kvt {

// --- Interface ---

inline constexpr int kMinScoredTokens   = 100;   // fewer: no statistics at all
inline constexpr int kMinTokensP99      = 100;   // fewer: null
inline constexpr int kMinTokensP999     = 1000;  // fewer: null
inline constexpr int kMinChunksInterval = 8;     // fewer: intervals are null
inline constexpr int kDefaultResamples  = 2000;

// How often each chunk was drawn: resample b, chunk c. Draw: splitmix64(seed).next() % n_chunks.
class ChunkDraws {
public:
    ChunkDraws(size_t n_chunks, int resamples, uint64_t seed);
    bool                      enough() const { return n_chunks_ >= static_cast<size_t>(kMinChunksInterval); }
    size_t                    size() const { return counts_.size() / (n_chunks_ == 0 ? 1 : n_chunks_); }
    std::span<const uint32_t> counts(size_t b) const { return std::span(counts_).subspan(b * n_chunks_, n_chunks_); }

private:
    size_t                n_chunks_;
    std::vector<uint32_t> counts_;
};

struct Estimate {
    double                  value = 0;
    std::optional<double>   error;     // standard error that takes tokens as independent, as llama-perplexity prints it
    std::optional<Interval> interval;  // 95 %, by chunks
};

struct KldStats {
    int64_t                 n_tokens = 0;
    Estimate                mean, median, p90, p95, max;  // KL divergence, nats
    std::optional<Estimate> p99, p999;
    Estimate                same_top;  // share 0..1
    Estimate                ppl_ref, ppl_cand, ln_ppl_ratio;
    Estimate                delta_p_mean, delta_p_rms;  // p_cand - p_ref of the true token, as a share
    std::vector<double>     chunk_means;                // mean KL divergence of each chunk
};

// Errors: fewer than kMinScoredTokens tokens.
Result<KldStats> kld_stats(std::span<const ChunkScores> chunks, const ChunkDraws & draws);

// Mean KL divergence of `a` minus that of `b`, on the same chunks and the same draws.
Estimate paired_difference(std::span<const ChunkScores> a, std::span<const ChunkScores> b, const ChunkDraws & draws);

// Percentiles (0..1, ascending) of `values` where each belongs to a chunk that counts counts[chunk] times; linear between
// order statistics, as percentile_sorted. `order` lists the values ascending. Nothing drawn: zeros.
struct ChunkValue {
    double   value = 0;
    uint32_t chunk = 0;
};
std::vector<double> weighted_percentiles(std::span<const ChunkValue> ascending, std::span<const uint32_t> counts,
                                         std::span<const double> q);

}  // namespace kvt
