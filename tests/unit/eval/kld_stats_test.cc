#include "kvt/eval/kld_stats.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvt {
namespace {

using ::testing::HasSubstr;

// Divergences 1, 2, ..., n spread over chunks of equal size.
std::vector<ChunkScores> ramp(size_t n_chunks, size_t per_chunk) {
    std::vector<ChunkScores> chunks(n_chunks);
    double                   v = 0;
    for (auto & c : chunks) {
        for (size_t i = 0; i < per_chunk; ++i) {
            TokenScore t;
            t.kld      = ++v;
            t.nll_ref  = 1.0;
            t.nll_cand = 1.0 + (i % 2 == 0 ? 0.5 : -0.5);
            t.p_ref    = 0.5;
            t.p_cand   = i % 2 == 0 ? 0.7 : 0.3;
            t.same_top = i % 4 != 0;
            c.push_back(t);
        }
    }
    return chunks;
}

TEST(WeightedPercentiles, DocumentedValues) {
    const std::vector<ChunkValue> v{{1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}};
    const std::vector<uint32_t>   once{1};
    const std::vector<double>     q{0.5, 0.99, 0.999, 1.0};
    const auto                    p = weighted_percentiles(v, once, q);
    EXPECT_DOUBLE_EQ(p[0], 3);
    EXPECT_DOUBLE_EQ(p[1], 4.96);
    EXPECT_DOUBLE_EQ(p[2], 4.996);
    EXPECT_DOUBLE_EQ(p[3], 5);
}

TEST(WeightedPercentiles, CountsRepeatValues) {
    // Chunk 0 {1, 10} drawn twice, chunk 1 {5} never, chunk 2 {7} once: 1 1 7 10 10.
    const std::vector<ChunkValue> v{{1, 0}, {5, 1}, {7, 2}, {10, 0}};
    const std::vector<uint32_t>   counts{2, 0, 1};
    const std::vector<double>     q{0.0, 0.25, 0.5, 0.75, 1.0};
    EXPECT_EQ(weighted_percentiles(v, counts, q), (std::vector<double>{1, 1, 7, 10, 10}));
    EXPECT_EQ(weighted_percentiles(v, std::vector<uint32_t>{0, 0, 0}, std::vector<double>{0.5}), std::vector<double>{0});
}

TEST(ChunkDraws, FollowTheSeededGenerator) {
    // Seed 1: 10451216379200822465, 13757245211066428519, 17911839290282890590 modulo 8 are 1, 7, 6.
    const ChunkDraws draws(8, 1, 1);
    ASSERT_TRUE(draws.enough());
    const auto counts = draws.counts(0);
    EXPECT_GE(counts[1], 1u);
    EXPECT_GE(counts[7], 1u);
    EXPECT_GE(counts[6], 1u);
    uint32_t total = 0;
    for (const uint32_t c : counts) total += c;
    EXPECT_EQ(total, 8u);
    EXPECT_FALSE(ChunkDraws(7, 100, 1).enough());
}

TEST(KldStats, OfARamp) {
    const auto chunks = ramp(10, 20);  // 1 .. 200
    const auto stats  = kld_stats(chunks, ChunkDraws(10, 2000, 1));
    ASSERT_TRUE(stats.ok()) << stats.error().message;
    EXPECT_EQ(stats->n_tokens, 200);
    EXPECT_DOUBLE_EQ(stats->mean.value, 100.5);
    EXPECT_DOUBLE_EQ(stats->median.value, 100.5);
    EXPECT_DOUBLE_EQ(stats->max.value, 200);
    ASSERT_TRUE(stats->p99.has_value());
    EXPECT_DOUBLE_EQ(stats->p99->value, 1 + 0.99 * 199);
    EXPECT_FALSE(stats->p999.has_value());  // fewer than 1000 tokens
    EXPECT_DOUBLE_EQ(stats->same_top.value, 0.75);
    EXPECT_NEAR(*stats->same_top.error, std::sqrt(0.75 * 0.25 / 199), 1e-12);
    EXPECT_NEAR(stats->ppl_ref.value, std::exp(1.0), 1e-12);
    EXPECT_NEAR(*stats->ppl_cand.error, std::exp(1.0) * std::sqrt(0.25 / 199), 1e-12);
    EXPECT_NEAR(stats->ln_ppl_ratio.value, 0, 1e-12);
    EXPECT_NEAR(stats->delta_p_rms.value, 0.2, 1e-12);
    EXPECT_DOUBLE_EQ(stats->chunk_means[0], 10.5);
    ASSERT_TRUE(stats->mean.interval.has_value());
    EXPECT_LT(stats->mean.interval->low, 100.5);
    EXPECT_GT(stats->mean.interval->high, 100.5);
    // Chunk means are 10.5, 30.5, ..., 190.5 (sd 57.4): the mean of ten draws has sd 18.2, so 95 % is about +-35.6.
    EXPECT_NEAR(stats->mean.interval->high - stats->mean.interval->low, 71, 5);
}

TEST(KldStats, IntervalsAreNullBelowEightChunksAndOverAThousandTokensP999Appears) {
    const auto few = kld_stats(ramp(7, 20), ChunkDraws(7, 2000, 1));
    EXPECT_FALSE(few->mean.interval.has_value());
    EXPECT_FALSE(few->max.interval.has_value());
    const auto many = kld_stats(ramp(8, 125), ChunkDraws(8, 50, 1));
    ASSERT_TRUE(many->p999.has_value());
    EXPECT_DOUBLE_EQ(many->p999->value, 1 + 0.999 * 999);
    EXPECT_TRUE(many->p999->interval.has_value());
}

TEST(KldStats, NoStatisticsBelowAHundredTokens) {
    EXPECT_THAT(kld_stats(ramp(9, 11), ChunkDraws(9, 100, 1)).error().message, HasSubstr("only 99 scored tokens"));
}

TEST(KldStats, SameSeedSameIntervals) {
    const auto chunks = ramp(12, 20);
    const auto a = kld_stats(chunks, ChunkDraws(12, 500, 7)), b = kld_stats(chunks, ChunkDraws(12, 500, 7)),
               c = kld_stats(chunks, ChunkDraws(12, 500, 8));
    EXPECT_EQ(a->mean.interval->low, b->mean.interval->low);
    EXPECT_NE(a->mean.interval->low, c->mean.interval->low);
}

TEST(PairedDifference, RemovesWhatBothShare) {
    const auto chunks = ramp(10, 20);
    auto       worse  = chunks;
    for (auto & c : worse) {
        for (auto & t : c) t.kld += 0.25;
    }
    // The chunks differ by 180, the plans by exactly 0.25: the paired interval has no width.
    const auto d = paired_difference(worse, chunks, ChunkDraws(10, 500, 1));
    EXPECT_NEAR(d.value, 0.25, 1e-12);
    EXPECT_NEAR(d.interval->low, 0.25, 1e-9);
    EXPECT_NEAR(d.interval->high, 0.25, 1e-9);
}

}  // namespace
}  // namespace kvt
