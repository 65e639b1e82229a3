#include "kvt/eval/kld_stats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "kvt/base/rng.h"

namespace kvt {

// --- Implementation ---

ChunkDraws::ChunkDraws(size_t n_chunks, int resamples, uint64_t seed) : n_chunks_(n_chunks) {
    if (!enough() || resamples < 1) return;
    counts_.assign(n_chunks * static_cast<size_t>(resamples), 0);
    SplitMix64 rng(seed);
    for (size_t b = 0; b < static_cast<size_t>(resamples); ++b) {
        for (size_t i = 0; i < n_chunks; ++i) ++counts_[b * n_chunks + rng.below(n_chunks)];
    }
}

std::vector<double> weighted_percentiles(std::span<const ChunkValue> ascending, std::span<const uint32_t> counts,
                                         std::span<const double> q) {
    uint64_t total = 0;
    for (const ChunkValue & v : ascending) total += counts[v.chunk];
    std::vector<double> out(q.size(), 0.0);
    if (total == 0) return out;
    size_t   i    = 0;  // ascending[i] covers the drawn ranks [seen - its count, seen)
    uint64_t seen = counts[ascending[0].chunk];
    auto     rank = [&](uint64_t k) {
        while (seen <= k) seen += counts[ascending[++i].chunk];
        return ascending[i].value;
    };
    for (size_t j = 0; j < q.size(); ++j) {
        const double   x     = q[j] * static_cast<double>(total - 1);
        const auto     floor = static_cast<uint64_t>(x);
        const size_t   i0    = i;
        const uint64_t seen0 = seen;
        const double   low   = rank(floor);
        const double   high  = rank(std::min(floor + 1, total - 1));
        out[j]               = low + (x - static_cast<double>(floor)) * (high - low);
        i = i0, seen = seen0;  // the next percentile may start at the same rank
    }
    return out;
}

namespace {

Interval interval_of(std::vector<double> & values) {
    std::sort(values.begin(), values.end());
    return {percentile_sorted(values, 0.025), percentile_sorted(values, 0.975)};
}

// Sums of one quantity over each chunk, enough for the pooled mean of any draw.
class ChunkSums {
public:
    ChunkSums(std::span<const ChunkScores> chunks, const std::function<double(const TokenScore &)> & f) {
        for (const ChunkScores & chunk : chunks) {
            double sum = 0;
            for (const TokenScore & t : chunk) {
                const double v = f(t);
                sum += v;
                squares_ += v * v;
            }
            sums_.push_back(sum);
            sizes_.push_back(static_cast<double>(chunk.size()));
            n_ += static_cast<double>(chunk.size());
            total_ += sum;
        }
    }

    double mean() const { return total_ / n_; }
    double chunk_mean(size_t c) const { return sums_[c] / sizes_[c]; }
    size_t size() const { return sums_.size(); }

    double mean_of(std::span<const uint32_t> counts) const {
        double sum = 0, n = 0;
        for (size_t c = 0; c < sums_.size(); ++c) {
            sum += counts[c] * sums_[c];
            n += counts[c] * sizes_[c];
        }
        return sum / n;
    }

    // finish: turns a mean into the statistic (exp for perplexity); slope: its derivative at the mean.
    Estimate estimate(const ChunkDraws & draws, double (*finish)(double) = nullptr) const {
        Estimate     e;
        const double m        = mean();
        const double variance = std::max(0.0, squares_ / n_ - m * m);
        e.value               = finish ? finish(m) : m;
        e.error               = std::sqrt(variance / (n_ - 1)) * (finish ? e.value : 1.0);  // exp is its own derivative
        if (!draws.enough()) return e;
        std::vector<double> values(draws.size());
        for (size_t b = 0; b < draws.size(); ++b) {
            const double v = mean_of(draws.counts(b));
            values[b]      = finish ? finish(v) : v;
        }
        e.interval = interval_of(values);
        return e;
    }

private:
    std::vector<double> sums_, sizes_;
    double              total_ = 0, squares_ = 0, n_ = 0;
};

double exp_of(double x) { return std::exp(x); }

constexpr std::array<double, 6> kPercentiles{0.5, 0.90, 0.95, 0.99, 0.999, 1.0};

// Percentiles of the divergence; entry 5 is the maximum.
std::array<Estimate, 6> percentile_estimates(std::span<const ChunkScores> chunks, const ChunkDraws & draws) {
    std::vector<ChunkValue> values;
    for (size_t c = 0; c < chunks.size(); ++c) {
        for (const TokenScore & t : chunks[c]) values.push_back({t.kld, static_cast<uint32_t>(c)});
    }
    std::sort(values.begin(), values.end(), [](const ChunkValue & a, const ChunkValue & b) { return a.value < b.value; });
    const std::vector<uint32_t> once(chunks.size(), 1);
    const auto                  plain = weighted_percentiles(values, once, kPercentiles);
    std::array<Estimate, 6>     out;
    for (size_t j = 0; j < out.size(); ++j) out[j].value = plain[j];
    if (!draws.enough()) return out;
    std::array<std::vector<double>, 6> drawn;
    for (size_t b = 0; b < draws.size(); ++b) {
        const auto p = weighted_percentiles(values, draws.counts(b), kPercentiles);
        for (size_t j = 0; j < out.size(); ++j) drawn[j].push_back(p[j]);
    }
    for (size_t j = 0; j < out.size(); ++j) out[j].interval = interval_of(drawn[j]);
    return out;
}

}  // namespace

Result<KldStats> kld_stats(std::span<const ChunkScores> chunks, const ChunkDraws & draws) {
    KldStats s;
    for (const ChunkScores & c : chunks) s.n_tokens += static_cast<int64_t>(c.size());
    if (s.n_tokens < kMinScoredTokens) {
        return Error{fmt::format("only {} scored tokens, at least {} are needed: more chunks or a longer --ctx", s.n_tokens,
                                 kMinScoredTokens)};
    }
    const ChunkSums kld(chunks, [](const TokenScore & t) { return t.kld; });
    s.mean = kld.estimate(draws);
    for (size_t c = 0; c < kld.size(); ++c) s.chunk_means.push_back(kld.chunk_mean(c));
    const auto p = percentile_estimates(chunks, draws);
    s.median = p[0], s.p90 = p[1], s.p95 = p[2], s.max = p[5];
    if (s.n_tokens >= kMinTokensP99) s.p99 = p[3];
    if (s.n_tokens >= kMinTokensP999) s.p999 = p[4];
    s.same_top     = ChunkSums(chunks, [](const TokenScore & t) { return t.same_top ? 1.0 : 0.0; }).estimate(draws);
    s.ppl_ref      = ChunkSums(chunks, [](const TokenScore & t) { return t.nll_ref; }).estimate(draws, exp_of);
    s.ppl_cand     = ChunkSums(chunks, [](const TokenScore & t) { return t.nll_cand; }).estimate(draws, exp_of);
    s.ln_ppl_ratio = ChunkSums(chunks, [](const TokenScore & t) { return t.nll_cand - t.nll_ref; }).estimate(draws);
    s.delta_p_mean = ChunkSums(chunks, [](const TokenScore & t) { return t.p_cand - t.p_ref; }).estimate(draws);
    s.delta_p_rms  = ChunkSums(chunks, [](const TokenScore & t) {
                        return (t.p_cand - t.p_ref) * (t.p_cand - t.p_ref);
                    }).estimate(draws, [](double m) { return std::sqrt(m); });
    s.delta_p_rms.error.reset();  // the slope of the root is not its value
    return s;
}

Estimate paired_difference(std::span<const ChunkScores> a, std::span<const ChunkScores> b, const ChunkDraws & draws) {
    const auto      kld = [](const TokenScore & t) { return t.kld; };
    const ChunkSums left(a, kld), right(b, kld);
    Estimate        e;
    e.value = left.mean() - right.mean();
    if (!draws.enough()) return e;
    std::vector<double> values(draws.size());
    for (size_t i = 0; i < draws.size(); ++i) values[i] = left.mean_of(draws.counts(i)) - right.mean_of(draws.counts(i));
    e.interval = interval_of(values);
    return e;
}

}  // namespace kvt
