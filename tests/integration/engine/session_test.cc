#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;
using testing::tiny_corpus;
using testing::tiny_model;
using testing::tiny_model_path;

using Rows = std::vector<std::vector<float>>;

std::vector<Token> corpus_tokens(size_t n) {
    auto tokens = tiny_model().tokenize(tiny_corpus(), AddSpecial::yes);
    tokens->resize(n);
    return *tokens;
}

Rows decode_all(Session & session, std::span<const Token> tokens, int first) {
    Rows rows;
    int  expected = std::max(first, session.position());
    auto status   = session.decode(tokens, first, [&](int at, std::span<const float> logits) {
        EXPECT_EQ(at, expected++);
        rows.emplace_back(logits.begin(), logits.end());
    });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return rows;
}

TEST(ReferenceSession, PredictsTheTrainedStory) {
    // The model was trained on such stories: greedy continuation must be the documented one.
    ModelRunner & model   = tiny_model();
    const auto    session = model.open({});
    ASSERT_TRUE(session.ok()) << session.error().message;
    auto               tokens = *model.tokenize("Once upon a time", AddSpecial::yes);
    std::vector<Token> story;
    for (int i = 0; i < 16; ++i) {
        const auto rows = decode_all(**session, tokens, (*session)->position() + static_cast<int>(tokens.size()) - 1);
        ASSERT_EQ(rows.size(), 1u);
        const auto best = static_cast<Token>(std::max_element(rows[0].begin(), rows[0].end()) - rows[0].begin());
        story.push_back(best);
        tokens = {best};
    }
    EXPECT_THAT(model.detokenize(story), HasSubstr("there was a little girl named Lily"));
}

TEST(ReferenceSession, RewindForgetsWhatCameBehind) {
    const auto session = tiny_model().open({});
    const auto tokens  = corpus_tokens(100);
    const auto second  = std::span(tokens).subspan(50);
    decode_all(**session, std::span(tokens).first(50), 1000);
    const Rows first = decode_all(**session, second, 50);
    EXPECT_FALSE((*session)->rewind(101));
    EXPECT_FALSE((*session)->rewind(-1));
    EXPECT_EQ((*session)->position(), 100);
    ASSERT_TRUE((*session)->rewind(50));
    EXPECT_EQ((*session)->position(), 50);
    decode_all(**session, std::span(tokens).first(30), 1000);  // others in the same cells
    ASSERT_TRUE((*session)->rewind(50));
    EXPECT_EQ(decode_all(**session, second, 50), first);
}

TEST(ReferenceSession, LogitsComeOnlyFromTheFirstWantedPosition) {
    const auto session = tiny_model().open({});
    EXPECT_EQ(decode_all(**session, corpus_tokens(100), 60).size(), 40u);
    EXPECT_EQ((*session)->position(), 100);
    EXPECT_EQ(decode_all(**session, corpus_tokens(10), 0).size(), 10u);
    (*session)->clear();
    EXPECT_EQ((*session)->position(), 0);
    EXPECT_EQ(decode_all(**session, corpus_tokens(10), 1000).size(), 0u);
}

TEST(ReferenceSession, MayStartAtAnyPosition) {
    SessionOptions options;
    options.n_ctx      = 64;
    const auto session = tiny_model().open(options);
    const auto tokens  = corpus_tokens(64);
    const Rows near    = decode_all(**session, tokens, 32);
    (*session)->clear(300);
    EXPECT_EQ((*session)->position(), 300);
    const Rows far = decode_all(**session, tokens, 332);  // cells, not positions, are what n_ctx counts
    EXPECT_EQ((*session)->position(), 364);
    ASSERT_EQ(far.size(), near.size());
    EXPECT_NE(far, near);
    // RoPE is relative: what is far away from 0 reads the same but for rounding.
    for (size_t i = 0; i < far.size(); ++i) {
        for (size_t j = 0; j < far[i].size(); ++j) ASSERT_NEAR(far[i][j], near[i][j], 0.05) << "row " << i;
    }
    EXPECT_THAT((*session)->decode(std::vector<Token>(1, 5), 0, {}).error().message, HasSubstr("after position 364"));
    (*session)->clear();
    EXPECT_EQ(decode_all(**session, tokens, 32), near);
}

TEST(ReferenceSession, ClearedAndNewSessionsRepeatExactly) {
    const auto a = tiny_model().open({}), b = tiny_model().open({});
    const auto tokens = corpus_tokens(200);
    const Rows first  = decode_all(**a, tokens, 100);
    (*a)->clear();
    EXPECT_EQ(decode_all(**a, tokens, 100), first);
    EXPECT_EQ(decode_all(**b, tokens, 100), first);
}

TEST(ReferenceSession, RunsStockKernelsAlsoWhenThePluginIsLoaded) {
    // Bit-identical to a model that never saw the plugin: nothing of the reference runs in our code.
    const auto stock = open_model(tiny_model_path(), {"", UsePlugin::never, 1});
    ASSERT_TRUE(stock.ok());
    const auto a = tiny_model().open({}), b = (*stock)->open({});
    const auto tokens = corpus_tokens(300);
    EXPECT_EQ(decode_all(**a, tokens, 0), decode_all(**b, tokens, 0));
    (*a)->clear();
    (*b)->clear();
    for (size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(decode_all(**a, std::span(tokens).subspan(i, 1), 0), decode_all(**b, std::span(tokens).subspan(i, 1), 0));
    }
}

TEST(ReferenceSession, SmallBatchesGiveNearlyTheSame) {
    SessionOptions options;
    options.n_batch = 32, options.n_ubatch = 16;
    const auto a = tiny_model().open({}), b = tiny_model().open(options);
    const auto tokens = corpus_tokens(128);
    const Rows x = decode_all(**a, tokens, 64), y = decode_all(**b, tokens, 64);
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) {
        for (size_t j = 0; j < x[i].size(); ++j) ASSERT_NEAR(x[i][j], y[i][j], 0.05) << "row " << i;
    }
}

TEST(ReferenceSession, KnowsItsBytes) {
    // 512 cells x 5 layers x (K and V) x 4 heads x 64 x 2 bytes
    EXPECT_EQ((*tiny_model().open({}))->kv_bytes(), 512u * 5 * 2 * 4 * 64 * 2);
}

TEST(ReferenceSession, BadRequestsAreErrors) {
    const auto session = tiny_model().open({});
    const auto none    = [](int, std::span<const float>) {};
    EXPECT_THAT((*session)->decode(std::vector<Token>{512}, 0, none).error().message, HasSubstr("token 512"));
    EXPECT_THAT((*session)->decode(std::vector<Token>{-1}, 0, none).error().message, HasSubstr("token -1"));
    EXPECT_THAT((*session)->decode(std::vector<Token>(513, 5), 0, none).error().message, HasSubstr("context full"));
    EXPECT_TRUE((*session)->decode(std::vector<Token>(512, 5), 512, none).ok());
    EXPECT_THAT((*session)->decode(std::vector<Token>(1, 5), 0, none).error().message, HasSubstr("after position 512"));
    EXPECT_TRUE((*session)->decode({}, 0, none).ok());

    SessionOptions bad;
    bad.n_ctx = 0;
    EXPECT_THAT(tiny_model().open(bad).error().message, HasSubstr("n_ctx 0"));
    bad         = {};
    bad.n_batch = -1;
    EXPECT_THAT(tiny_model().open(bad).error().message, HasSubstr("n_batch -1"));
    bad     = {};
    bad.tap = [](const Tap &) {};
    EXPECT_THAT(tiny_model().open(bad).error().message, HasSubstr("needs a plan"));
}

}  // namespace
}  // namespace kvt
