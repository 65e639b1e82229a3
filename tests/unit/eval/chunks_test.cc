#include "kvt/eval/chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fake_runner.h"

namespace kvt {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;
using ::testing::HasSubstr;

TEST(Chunks, CutsWholeChunksAndDropsTheRest) {
    const FakeRunner runner;
    const auto       tokens = fake_tokens(70);
    const auto       chunks = make_chunks(runner, tokens, 16, 0);
    ASSERT_TRUE(chunks.ok()) << chunks.error().message;
    ASSERT_EQ(chunks->tokens.size(), 4u);
    EXPECT_EQ(chunks->tokens[3], std::vector<Token>(tokens.begin() + 48, tokens.begin() + 64));
    EXPECT_EQ(chunks->first_scored(), 8);
    EXPECT_EQ(chunks->scored_per_chunk(), 7);
    EXPECT_EQ(make_chunks(runner, tokens, 16, 2)->tokens.size(), 2u);
}

TEST(Chunks, ScoredPositionsOfTheDocumentedContexts) {
    EXPECT_EQ((Chunks{512, {}}.scored_per_chunk()), 255);
    EXPECT_EQ((Chunks{128, {}}.scored_per_chunk()), 63);
}

TEST(Chunks, FirstTokenBecomesBosWhereTheModelWantsIt) {
    const FakeRunner with_bos(50, 0.02, true);
    const auto       chunks = make_chunks(with_bos, fake_tokens(64), 16, 0);
    for (const auto & chunk : chunks->tokens) EXPECT_EQ(chunk[0], with_bos.bos());
}

TEST(Chunks, RefusesWhatCannotBeMeasured) {
    const FakeRunner runner;
    EXPECT_THAT(make_chunks(runner, fake_tokens(31), 16, 0).error().message, HasSubstr("31 tokens, at least 32"));
    EXPECT_THAT(make_chunks(runner, {}, 16, 0).error().message, HasSubstr("0 tokens"));
    EXPECT_THAT(make_chunks(runner, fake_tokens(64), 3, 0).error().message, HasSubstr("context 3 is too short"));
    EXPECT_THAT(make_chunks(runner, fake_tokens(2000), 512, 0).error().message, HasSubstr("trained on"));
    EXPECT_THAT(make_chunks(runner, fake_tokens(64), 16, -1).error().message, HasSubstr("-1"));
    EXPECT_TRUE(make_chunks(runner, fake_tokens(2000), 512, 0, LongContext::allow).ok());
}

TEST(Chunks, BatchSlicesCoverTheChunk) {
    const auto chunks = make_chunks(FakeRunner(), fake_tokens(32), 16, 0);
    const auto slices = chunk_slices(*chunks, 1, EvalMode::batch, 6);
    ASSERT_EQ(slices.size(), 3u);
    EXPECT_EQ(slices[0].size(), 6u);
    EXPECT_EQ(slices[2].size(), 4u);
    EXPECT_EQ(slices[0].data(), chunks->tokens[1].data());
}

TEST(Chunks, DecodeSlicesAreSingleTokensAfterTheFirstHalf) {
    const auto chunks = make_chunks(FakeRunner(), fake_tokens(32), 16, 0);
    const auto slices = chunk_slices(*chunks, 0, EvalMode::decode, 512);
    ASSERT_EQ(slices.size(), 1u + 7u);  // 8 tokens at once, then positions 8 .. 14
    EXPECT_EQ(slices[0].size(), 8u);
    for (size_t i = 1; i < slices.size(); ++i) EXPECT_EQ(slices[i].size(), 1u);
}

}  // namespace
}  // namespace kvt
