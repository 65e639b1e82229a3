#include "kvt/eval/kld.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/eval/log_softmax.h"
#include "support/fake_runner.h"

namespace kvt {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;
using ::testing::HasSubstr;

KldOptions small(const FakeRunner & runner, std::initializer_list<int> bits) {
    KldOptions o;
    o.n_ctx = 32, o.n_batch = 16, o.n_ubatch = 16, o.resamples = 200;
    for (const int b : bits)
        o.plans.push_back({"KV" + std::to_string(b), uniform_plan(runner.info(), Mode::per_token_asym, b, b)});
    return o;
}

// The mean straight from the definition, token by token.
double by_definition(const FakeRunner & runner, std::span<const Token> tokens, int n_ctx, double wave) {
    double sum = 0, n = 0;
    for (size_t c = 0; (c + 1) * static_cast<size_t>(n_ctx) <= tokens.size(); ++c) {
        const auto chunk = tokens.subspan(c * static_cast<size_t>(n_ctx), static_cast<size_t>(n_ctx));
        for (int at = n_ctx / 2; at <= n_ctx - 2; ++at) {
            const auto history = chunk.first(static_cast<size_t>(at) + 1);
            const auto ref     = FakeRunner::logits(history, runner.n_vocab(), 0),
                       cand    = FakeRunner::logits(history, runner.n_vocab(), wave);
            sum += kl_divergence(ref, log_sum_exp(ref), cand, log_sum_exp(cand));
            n += 1;
        }
    }
    return sum / n;
}

TEST(EvaluateKld, MatchesTheDefinition) {
    FakeRunner runner;
    const auto tokens  = fake_tokens(32 * 10 + 5);
    const auto options = small(runner, {8, 4});
    const auto record  = evaluate_kld(runner, tokens, options, no_progress());
    ASSERT_TRUE(record.ok()) << record.error().message;
    EXPECT_EQ(record->n_chunks, 10);
    EXPECT_EQ(record->n_tokens, 150);
    ASSERT_EQ(record->plans.size(), 2u);
    EXPECT_NEAR(record->plans[0].stats.mean.value, by_definition(runner, tokens, 32, runner.wave(options.plans[0].plan)), 1e-12);
    EXPECT_NEAR(record->plans[1].stats.mean.value, by_definition(runner, tokens, 32, runner.wave(options.plans[1].plan)), 1e-12);
    EXPECT_GT(record->plans[1].stats.mean.value, record->plans[0].stats.mean.value);
    EXPECT_EQ(runner.longest_call, 16);
    // The reference is opened once for both plans: reference, 2 plans, F0, F1, Fk.
    EXPECT_EQ(runner.sessions_opened, 6);
}

TEST(EvaluateKld, FloorsOfADeterministicModelAreZeroAndPlansAboveThem) {
    FakeRunner runner;
    const auto record = evaluate_kld(runner, fake_tokens(32 * 10), small(runner, {4, 16}), no_progress());
    ASSERT_TRUE(record.ok());
    ASSERT_EQ(record->floors.size(), 3u);
    for (const FloorResult & f : record->floors) {
        EXPECT_EQ(f.mean, 0) << f.name;
        EXPECT_EQ(f.same_top, 1) << f.name;
    }
    EXPECT_EQ(record->floors[0].n_chunks, 1);
    EXPECT_EQ(record->floors[1].n_chunks, 10);
    EXPECT_FALSE(record->plans[0].at_floor);
    EXPECT_TRUE(record->plans[1].at_floor);  // all f16: nothing to tell it from the floor
    ASSERT_TRUE(record->plans[1].above_first.has_value());
    EXPECT_NEAR(record->plans[1].above_first->value, -record->plans[0].stats.mean.value, 1e-12);
    EXPECT_TRUE(record->warnings.empty());
}

TEST(EvaluateKld, DecodeModeFeedsSingleTokensAndGivesTheSameForAModelWithoutNoise) {
    FakeRunner runner;
    auto       options = small(runner, {4});
    const auto batch   = evaluate_kld(runner, fake_tokens(32 * 12), options, no_progress());
    options.mode       = EvalMode::decode;
    options.max_chunks = 12;
    const auto decode  = evaluate_kld(runner, fake_tokens(32 * 12), options, no_progress());
    ASSERT_TRUE(decode.ok());
    EXPECT_DOUBLE_EQ(decode->plans[0].stats.mean.value, batch->plans[0].stats.mean.value);
    EXPECT_EQ(decode->floors.size(), 2u);  // n_ubatch means nothing for single tokens
    options.max_chunks = 0;
    EXPECT_EQ(evaluate_kld(runner, fake_tokens(32 * 12), options, no_progress())->n_chunks, kDefaultDecodeChunks);
}

TEST(EvaluateKld, FewChunksGiveNullIntervalsAndSaySo) {
    FakeRunner runner;
    const auto record = evaluate_kld(runner, fake_tokens(32 * 7), small(runner, {4}), no_progress());
    ASSERT_TRUE(record.ok());
    EXPECT_FALSE(record->plans[0].stats.mean.interval.has_value());
    ASSERT_EQ(record->warnings.size(), 1u);
    EXPECT_THAT(record->warnings[0], HasSubstr("7 chunks are too few"));
}

TEST(EvaluateKld, BadInput) {
    FakeRunner runner;
    auto       options = small(runner, {4});
    EXPECT_THAT(evaluate_kld(runner, {}, options, no_progress()).error().message, HasSubstr("0 tokens"));
    runner.poison_position = 20;
    EXPECT_THAT(evaluate_kld(runner, fake_tokens(320), options, no_progress()).error().message,
                HasSubstr("chunk 0 at position 20"));
    runner.poison_position = -1;
    runner.refuse_plans    = true;
    EXPECT_THAT(evaluate_kld(runner, fake_tokens(320), options, no_progress()).error().message,
                HasSubstr("KV4: plans are refused"));
    options.n_batch = 0;
    EXPECT_THAT(evaluate_kld(runner, fake_tokens(320), options, no_progress()).error().message, HasSubstr("n_batch 0"));
    options        = small(runner, {});
    options.floors = Floors::skip;
    EXPECT_THAT(evaluate_kld(runner, fake_tokens(320), options, no_progress()).error().message, HasSubstr("no plan given"));
}

TEST(EvaluateKld, RecordIsJsonWithNullsWhereNothingIsKnown) {
    FakeRunner runner;
    const auto record = evaluate_kld(runner, fake_tokens(32 * 10), small(runner, {4}), no_progress());
    const auto json   = nlohmann::json::parse(write_record(*record));
    EXPECT_EQ(json["schema"], "kvtuner.eval.kld");
    EXPECT_EQ(json["schema_version"], 1);
    EXPECT_EQ(json["settings"]["mode"], "batch");
    EXPECT_EQ(json["settings"]["kld_rule"], "exact");
    EXPECT_EQ(json["plans"][0]["name"], "KV4");
    EXPECT_TRUE(json["plans"][0]["kld"]["p99.9"].is_null());
    EXPECT_DOUBLE_EQ(json["plans"][0]["kld"]["mean"]["value"].get<double>(), record->plans[0].stats.mean.value);
    EXPECT_EQ(json["plans"][0]["kld"]["chunk_means"].size(), 10u);
    EXPECT_EQ(json["floors"].size(), 3u);
}

TEST(ErrorByPosition, EqualPartsOfTheScoredPositions) {
    std::vector<ChunkScores> chunks(2, ChunkScores(20));
    for (size_t c = 0; c < 2; ++c) {
        for (size_t i = 0; i < 20; ++i) {
            chunks[c][i].kld      = static_cast<double>(i) + (c == 0 ? 0.5 : -0.5);
            chunks[c][i].same_top = i < 10;
        }
    }
    const auto bins = error_by_position(chunks, 21);
    ASSERT_EQ(bins.size(), 8u);
    EXPECT_EQ(bins[0].first, 21);
    EXPECT_EQ(bins[0].last, 22);
    EXPECT_EQ(bins[7].last, 40);
    for (size_t b = 1; b < bins.size(); ++b) EXPECT_EQ(bins[b].first, bins[b - 1].last + 1);
    EXPECT_NEAR(bins[0].kld, 0.5, 1e-12);
    EXPECT_NEAR(bins[7].kld, 18, 1e-12);  // 17, 18, 19
    EXPECT_NEAR(bins[0].same_top, 1, 1e-12);
    EXPECT_EQ(bins[7].same_top, 0);
    EXPECT_EQ(error_by_position(std::vector<ChunkScores>(1, ChunkScores(3)), 4).size(), 3u);
    EXPECT_TRUE(error_by_position({}, 4).empty());
}

}  // namespace
}  // namespace kvt
