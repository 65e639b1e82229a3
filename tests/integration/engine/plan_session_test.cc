#include <cmath>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/engine/llama/plugin.h"
#include "support/logits.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;
using testing::mean_distance;
using testing::Rows;
using testing::tiny_corpus;
using testing::tiny_model;

std::vector<Token> corpus_tokens(size_t n) {
    auto tokens = tiny_model().tokenize(tiny_corpus(), AddSpecial::yes);
    tokens->resize(n);
    return *tokens;
}

Rows run(const SessionOptions & options, std::span<const Token> tokens, int first) {
    Rows rows;
    auto session = tiny_model().open(options);
    EXPECT_TRUE(session.ok()) << session.error().message;
    if (!session.ok()) return rows;
    const auto status = (*session)->decode(
        tokens, first, [&](int, std::span<const float> logits) { rows.emplace_back(logits.begin(), logits.end()); });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return rows;
}

SessionOptions with_plan(Mode mode, int k, int v) {
    SessionOptions options;
    options.plan = uniform_plan(tiny_model().info(), mode, k, v);
    return options;
}

TEST(PlanSession, FewerBitsAreFurtherFromTheReference) {
    const auto tokens = corpus_tokens(256);
    const Rows ref    = run({}, tokens, 128);
    for (const Mode mode : {Mode::per_token_asym, Mode::kivi}) {
        const double d16 = mean_distance(ref, run(with_plan(mode, 16, 16), tokens, 128)),
                     d8  = mean_distance(ref, run(with_plan(mode, 8, 8), tokens, 128)),
                     d4  = mean_distance(ref, run(with_plan(mode, 4, 4), tokens, 128)),
                     d2  = mean_distance(ref, run(with_plan(mode, 2, 2), tokens, 128));
        EXPECT_LT(d16, 0.005);
        EXPECT_LT(d16, d8);
        EXPECT_LT(d8, d4);
        EXPECT_LT(d4, d2);
    }
}

TEST(PlanSession, SeveralPlansLiveSideBySideAndKeepTheirs) {
    const auto tokens = corpus_tokens(128);
    auto       plan8 = with_plan(Mode::kivi, 8, 8), plan2 = with_plan(Mode::kivi, 2, 2);
    plan8.n_batch = plan2.n_batch = 16;
    const Rows alone8 = run(plan8, tokens, 64), alone2 = run(plan2, tokens, 64);
    auto       eight = tiny_model().open(plan8);
    auto       two   = tiny_model().open(plan2);
    auto       ref   = tiny_model().open({});
    ASSERT_TRUE(eight.ok() && two.ok() && ref.ok());
    Rows rows8, rows2;
    for (size_t at = 0; at < 128; at += 16) {
        const auto part = std::span(tokens).subspan(at, 16);
        ASSERT_TRUE(
            (*eight)->decode(part, 64, [&](int, std::span<const float> l) { rows8.emplace_back(l.begin(), l.end()); }).ok());
        ASSERT_TRUE(
            (*two)->decode(part, 64, [&](int, std::span<const float> l) { rows2.emplace_back(l.begin(), l.end()); }).ok());
        ASSERT_TRUE((*ref)->decode(part, 128, {}).ok());
    }
    EXPECT_EQ(rows8, alone8);
    EXPECT_EQ(rows2, alone2);
    EXPECT_NE(rows2, rows8);
}

TEST(PlanSession, BytesAreThoseOfThePlan) {
    const auto options = with_plan(Mode::kivi, 4, 4);
    auto       session = tiny_model().open(options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_EQ((*session)->kv_bytes(), plan_size(*options.plan, 512).bytes);
}

TEST(PlanSession, TapSeesEveryLayer) {
    struct Seen {
        int  tokens = 0, heads = 0, head_dim = 0;
        bool finite = true;
    };
    std::map<std::pair<Tap::Kind, int>, Seen> seen;
    auto                                      options = with_plan(Mode::custom, 16, 16);
    options.tap                                       = [&](const Tap & tap) {
        Seen & s = seen[{tap.kind, tap.layer}];
        s.tokens += tap.n_tokens;
        s.heads    = tap.n_heads;
        s.head_dim = tap.head_dim;
        for (int t = 0; t < tap.n_tokens; ++t) {
            for (int h = 0; h < tap.n_heads; ++h)
                s.finite = s.finite && std::isfinite(tap.data[t * tap.stride_token + h * tap.stride_head]);
        }
        EXPECT_EQ(tap.cells != nullptr, tap.kind != Tap::Kind::q);
        if (tap.kind == Tap::Kind::q) {
            EXPECT_GT(tap.scale, 0);
        }
    };
    run(options, corpus_tokens(40), 40);
    ASSERT_EQ(seen.size(), 15u);
    for (const auto & [key, s] : seen) {
        EXPECT_EQ(s.tokens, 40);
        EXPECT_EQ(s.heads, key.first == Tap::Kind::q ? 8 : 4);
        EXPECT_EQ(s.head_dim, 64);
        EXPECT_TRUE(s.finite);
    }
    // Without a tap nothing is called any more.
    seen.clear();
    run(with_plan(Mode::custom, 16, 16), corpus_tokens(40), 40);
    EXPECT_TRUE(seen.empty());
}

TEST(PlanSession, APlanForAnotherModelIsRefused) {
    ModelInfo other = tiny_model().info();
    other.n_layer   = 6;
    SessionOptions options;
    options.plan       = uniform_plan(other, Mode::kivi, 4, 4);
    const auto refused = tiny_model().open(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("6"));
}

TEST(Plugin, DescribesItselfAndPassesItsOwnTest) {
    const auto plugin = load_plugin();
    ASSERT_TRUE(plugin.ok()) << plugin.error().message;
    EXPECT_THAT((*plugin)->describe(), HasSubstr("\"isa\""));
    const auto test = (*plugin)->self_test();
    EXPECT_EQ(test.failures, 0) << test.report;
    EXPECT_THAT(test.report, HasSubstr("ok"));
    EXPECT_THAT((*plugin)->set_plan("nonsense", "").error().message, HasSubstr("nonsense"));
}

}  // namespace
}  // namespace kvt
