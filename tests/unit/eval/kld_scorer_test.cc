#include "kvt/eval/kld_scorer.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/eval/kld.h"
#include "support/fake_runner.h"

namespace kvt {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;
using ::testing::HasSubstr;

TEST(KldScorer, AgreesWithTheFullEvaluation) {
    FakeRunner runner(1000);
    const auto tokens = fake_tokens(32 * 9, 1000);
    const auto plan   = uniform_plan(runner.info(), Mode::per_token_asym, 4, 2);
    KldOptions full;
    full.n_ctx = 32, full.plans = {{"K4V2", plan}};
    ScorerOptions quick;
    quick.n_ctx = 32, quick.max_chunks = 0;
    const auto record = evaluate_kld(runner, tokens, full, no_progress());
    const auto scorer = KldScorer::create(runner, tokens, quick, no_progress());
    ASSERT_TRUE(scorer.ok()) << scorer.error().message;
    const auto score = scorer->score(plan);
    ASSERT_TRUE(score.ok()) << score.error().message;
    EXPECT_NEAR(score->mean, record->plans[0].stats.mean.value, 1e-6);
    EXPECT_NEAR(score->ci_low, record->plans[0].stats.mean.interval->low, 1e-6);
    EXPECT_NEAR(score->ci_high, record->plans[0].stats.mean.interval->high, 1e-6);
    EXPECT_EQ(score->n_tokens, 9 * 15);
    ASSERT_EQ(score->chunk_means.size(), 9u);
    EXPECT_NEAR(score->chunk_means[4], record->plans[0].stats.chunk_means[4], 1e-6);
    EXPECT_GT(score->mean, 1e-3);
}

TEST(KldScorer, ReferenceRunsOnceAndEachScoreOnce) {
    FakeRunner    runner;
    ScorerOptions options;
    options.n_ctx     = 32;
    const auto scorer = KldScorer::create(runner, fake_tokens(320), options, no_progress());
    EXPECT_EQ(runner.sessions_opened, 1);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(scorer->score(uniform_plan(runner.info(), Mode::kivi, 4, 4)).ok());
    EXPECT_EQ(runner.sessions_opened, 4);
    EXPECT_EQ(scorer->n_chunks(), 8);  // the default limit
}

TEST(KldScorer, RefusesMoreMemoryThanAllowedAndSaysHowManyChunksFit) {
    FakeRunner    runner;
    ScorerOptions options;
    options.n_ctx     = 32;
    options.max_bytes = 3 * 15 * 50 * 4 + 1;  // three chunks of 15 rows of 50 floats
    const auto scorer = KldScorer::create(runner, fake_tokens(320), options, no_progress());
    ASSERT_FALSE(scorer.ok());
    EXPECT_THAT(scorer.error().message, HasSubstr("at most 3 chunks"));
    options.max_chunks = 3;
    EXPECT_TRUE(KldScorer::create(runner, fake_tokens(320), options, no_progress()).ok());
}

TEST(KldScorer, FewChunksHaveNoInterval) {
    FakeRunner    runner;
    ScorerOptions options;
    options.n_ctx = 32, options.max_chunks = 4;
    const auto score =
        KldScorer::create(runner, fake_tokens(320), options, no_progress())->score(uniform_plan(runner.info(), Mode::kivi, 2, 2));
    EXPECT_TRUE(std::isnan(score->ci_low));
    EXPECT_GT(score->mean, 0);
}

TEST(KldScorer, BadLogitsStopIt) {
    FakeRunner    runner;
    ScorerOptions options;
    options.n_ctx          = 32;
    const auto scorer      = KldScorer::create(runner, fake_tokens(320), options, no_progress());
    runner.poison_position = 18;
    EXPECT_THAT(scorer->score(uniform_plan(runner.info(), Mode::kivi, 2, 2)).error().message,
                HasSubstr("chunk 0 at position 18"));
    EXPECT_THAT(KldScorer::create(runner, fake_tokens(320), options, no_progress()).error().message,
                HasSubstr("reference logits"));
}

}  // namespace
}  // namespace kvt
