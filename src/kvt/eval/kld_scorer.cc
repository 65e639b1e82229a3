#include "kvt/eval/kld_scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

namespace {

Error not_finite(std::string_view whose, size_t chunk, int position) {
    return Error{fmt::format("the {} logits of chunk {} at position {} are not finite numbers", whose, chunk, position)};
}

}  // namespace

KldScorer::KldScorer(ModelRunner & runner, Chunks chunks, const ScorerOptions & options)
    : runner_(&runner),
      chunks_(std::move(chunks)),
      options_(options),
      draws_(chunks_.tokens.size(), options.resamples, options.seed) {}

Result<std::unique_ptr<Session>> KldScorer::open(std::optional<PrecisionPlan> plan) const {
    SessionOptions so;
    so.plan      = std::move(plan);
    so.n_ctx     = chunks_.n_ctx;
    so.n_batch   = std::min(options_.n_batch, chunks_.n_ctx);
    so.n_ubatch  = std::min(options_.n_ubatch, so.n_batch);
    so.n_threads = options_.n_threads;
    return runner_->open(so);
}

size_t KldScorer::index(size_t chunk, int position) const {
    return chunk * static_cast<size_t>(chunks_.scored_per_chunk()) + static_cast<size_t>(position - chunks_.first_scored());
}

Result<KldScorer> KldScorer::create(ModelRunner & runner, std::span<const Token> tokens, const ScorerOptions & options,
                                    Progress & progress) {
    KVT_TRY(Chunks chunks, make_chunks(runner, tokens, options.n_ctx, options.max_chunks));
    const auto     n_vocab   = static_cast<size_t>(runner.n_vocab());
    const size_t   n_chunks  = chunks.tokens.size();
    const uint64_t per_chunk = static_cast<uint64_t>(chunks.scored_per_chunk()) * n_vocab * sizeof(float);
    if (per_chunk * n_chunks > options.max_bytes) {
        return Error{fmt::format(
            "the reference of {} chunks of {} tokens takes {:.1f} GiB, more than the {:.1f} GiB allowed: use at most {} chunks",
            n_chunks, chunks.n_ctx, static_cast<double>(per_chunk * n_chunks) / (1 << 30),
            static_cast<double>(options.max_bytes) / (1 << 30), options.max_bytes / per_chunk)};
    }
    KldScorer    scorer(runner, std::move(chunks), options);
    const size_t n_rows = n_chunks * static_cast<size_t>(scorer.chunks_.scored_per_chunk());
    try {
        scorer.probabilities_.resize(n_rows * n_vocab);
        scorer.references_.resize(n_rows);
    } catch (const std::bad_alloc &) {
        return Error{fmt::format("not enough memory for the reference ({:.1f} GiB): use fewer chunks",
                                 static_cast<double>(per_chunk * n_chunks) / (1 << 30))};
    }
    KVT_TRY(const auto session, scorer.open(std::nullopt));
    progress.begin("reference", static_cast<int64_t>(n_chunks));
    for (size_t c = 0; c < n_chunks; ++c) {
        if (interrupted()) return Error{fmt::format("interrupted after {} of {} chunks", c, n_chunks)};
        Status trouble = ok_status();
        session->clear();
        KVT_CHECK_OK(
            session->decode(scorer.chunks_.tokens[c], scorer.chunks_.first_scored(), [&](int at, std::span<const float> logits) {
                if (at > scorer.chunks_.n_ctx - 2) return;
                const size_t i        = scorer.index(c, at);
                scorer.references_[i] = fast_reference(logits, std::span(scorer.probabilities_).subspan(i * n_vocab, n_vocab));
                if (!std::isfinite(scorer.references_[i].negative_entropy)) trouble = not_finite("reference", c, at);
            }));
        KVT_CHECK_OK(trouble);
        progress.done(1);
    }
    progress.end();
    return scorer;
}

Result<KldScore> KldScorer::score(const PrecisionPlan & plan) const {
    KVT_TRY(const auto session, open(plan));
    const auto   n_vocab = static_cast<size_t>(runner_->n_vocab());
    const size_t n       = chunks_.tokens.size();
    KldScore     score;
    score.n_tokens = n_tokens();
    for (size_t c = 0; c < n; ++c) {
        if (interrupted()) return Error{"interrupted"};
        Status trouble = ok_status();
        double sum = 0, clipped = 0;
        session->clear();
        KVT_CHECK_OK(session->decode(chunks_.tokens[c], chunks_.first_scored(), [&](int at, std::span<const float> logits) {
            if (at > chunks_.n_ctx - 2) return;
            const size_t i = index(c, at);
            const double kld =
                fast_kl_divergence(references_[i], std::span(probabilities_).subspan(i * n_vocab, n_vocab), logits);
            if (!std::isfinite(kld)) trouble = not_finite("plan's", c, at);
            sum += kld;
            clipped += std::min(kld, kClip);
        }));
        KVT_CHECK_OK(trouble);
        score.chunk_means.push_back(sum / chunks_.scored_per_chunk());
        score.clipped_means.push_back(clipped / chunks_.scored_per_chunk());
    }
    score.mean   = mean(score.chunk_means);  // chunks have equally many tokens
    score.ci_low = score.ci_high = std::numeric_limits<double>::quiet_NaN();
    if (!draws_.enough()) return score;
    std::vector<double> means(draws_.size());
    for (size_t b = 0; b < draws_.size(); ++b) {
        const auto counts = draws_.counts(b);
        double     total  = 0;
        for (size_t c = 0; c < n; ++c) total += counts[c] * score.chunk_means[c];
        means[b] = total / static_cast<double>(n);
    }
    std::sort(means.begin(), means.end());
    score.ci_low  = percentile_sorted(means, 0.025);
    score.ci_high = percentile_sorted(means, 0.975);
    return score;
}

}  // namespace kvt
