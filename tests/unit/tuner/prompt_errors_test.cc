#include "kvt/tuner/profile/prompt_errors.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/fp16.h"
#include "kvt/base/rng.h"

namespace kvt::testing {
namespace {

// One head of two channels in per-token mode: a group is one token. Values that 8 bits keep nearly, and 2 bits (4 levels) not.
LayerCapture tiny() {
    LayerCapture c;
    c.n_kv_heads = c.n_q_heads = 1;
    c.head_dim_k = c.head_dim_v = 4;
    c.n_tokens                  = 2;
    c.n_steps                   = 1;
    c.scale                     = 0.5f;
    // 2 bits, s = 1: codes of token 0 are 0 1 2 3 exactly; 1.25 of token 1 becomes 1.
    c.k = {0, 1, 2, 3, 0, 1.25f, 2, 3};
    // 2 bits: token 0 exact; token 1 holds 4.5, stored as 4.
    c.v = {1, 2, 3, 4, 3, 4.5f, 5, 6};
    c.q = {0, 2, 0, 0};
    return c;
}

TEST(PromptErrors, WorkedByHand) {
    const LayerErrors e = prompt_errors(tiny(), Mode::per_token_asym, 1e-6);
    // K, 2 bits: |1.25 - 1| out of 0 + 1.25 + 2 + 3 in one of two tokens.
    EXPECT_NEAR(e.e_k[2], 0.25 / 6.25 / 2, 1e-7);
    // V, 2 bits: |5 - 4.5| out of 3 + 4.5 + 5 + 6 in one of two tokens. nearbyint(1.5) = 2 by ties to even: 3 + 2 = 5.
    EXPECT_NEAR(e.e_v[2], 0.5 / 18.5 / 2, 1e-7);

    // Logits 0.5 * 2 * k[1]: 1 and 1.25 exact, 1 and 1 with 2 bits.
    const double a0 = 1 / (1 + std::exp(0.25)), a1 = 1 - a0;
    EXPECT_NEAR(e.e_a[2], (std::abs(a0 - 0.5) + std::abs(a1 - 0.5)) / 2, 1e-6);

    // o = a V; with K2 V2: a' = (.5, .5), v1' = (3, 5, 5, 6).
    const double v0[] = {1, 2, 3, 4}, v1[] = {3, 4.5, 5, 6}, v1_2[] = {3, 5, 5, 6};
    double       difference = 0, size = 0;
    for (int d = 0; d < 4; ++d) {
        const double o = a0 * v0[d] + a1 * v1[d], o2 = 0.5 * v0[d] + 0.5 * v1_2[d];
        difference += std::abs(o - o2);
        size += o;
    }
    EXPECT_NEAR(e.e_o[8], difference / size, 1e-6);
    // Errors fall as bits rise, for keys and for values.
    EXPECT_LT(e.e_k[0], e.e_k[2]);
    EXPECT_LT(e.e_o[0], e.e_o[8]);
    EXPECT_EQ(e.e_k_head.size(), 1u);
    EXPECT_EQ(e.e_o_head[0], e.e_o);
}

// 40 tokens: keys of 1 for the tokens in `seen`, else 0; the query makes a unit of key worth a factor of 1000.
HeadPattern pattern_of(const std::vector<int> & seen) {
    LayerCapture c;
    c.n_kv_heads = c.n_q_heads = 1;
    c.head_dim_k = c.head_dim_v = 4;
    c.n_tokens                  = 40;
    c.n_steps                   = 1;
    c.scale                     = static_cast<float>(std::log(1000.0));
    c.k.assign(160, 0.0f);
    c.v.assign(160, 1.0f);
    for (const int t : seen) c.k[static_cast<size_t>(4 * t)] = 1;
    c.q = {1, 0, 0, 0};
    return prompt_errors(c, Mode::per_token_asym, 1e-6).patterns.at(0);
}

TEST(PromptErrors, PatternOfAStreamingAndOfARetrievalHead) {
    const HeadPattern streaming = pattern_of({0, 39});  // weights 1000 : 1, two large ones of 40
    EXPECT_NEAR(streaming.sparsity, 38.0 / 40, 1e-9);
    EXPECT_NEAR(streaming.sink_mass, 1003.0 / 2038, 1e-5);
    EXPECT_NEAR(streaming.recent_mass, 1031.0 / 2038, 1e-5);
    EXPECT_TRUE(is_streaming(streaming));
    const HeadPattern retrieval = pattern_of({5});  // neither a sink nor among the last 32
    EXPECT_NEAR(retrieval.sink_mass + retrieval.recent_mass, 36.0 / 1039, 1e-5);
    EXPECT_FALSE(is_streaming(retrieval));
    std::vector<int> all(40);
    for (int t = 0; t < 40; ++t) all[static_cast<size_t>(t)] = t;
    EXPECT_EQ(pattern_of(all).sparsity, 0);
}

TEST(PromptErrors, MeanPatternOfPrompts) {
    LayerErrors a, b;
    for (LayerErrors * e : {&a, &b}) {
        e->e_k_head = e->e_v_head = e->e_a_head = {{0, 0, 0}};
        e->e_o_head                             = {{}};
    }
    a.patterns             = {{0.2, 0.4, 0.5}};
    b.patterns             = {{0.4, 0.0, 0.1}};
    const HeadPattern mean = mean_errors({a, b}).patterns.at(0);
    EXPECT_NEAR(mean.sparsity, 0.3, 1e-12);
    EXPECT_NEAR(mean.sink_mass, 0.2, 1e-12);
    EXPECT_NEAR(mean.recent_mass, 0.3, 1e-12);
    b.patterns.clear();  // a prompt that an older version measured
    EXPECT_TRUE(mean_errors({a, b}).patterns.empty());
}

TEST(PromptErrors, RelativeErrorIsGuardedByEps) {
    LayerCapture c = tiny();
    c.k            = {0, 1, 2, 3, 0, 1e-9f, 2e-9f, 3e-9f};  // the second token comes back as zeros: 6e-9 wrong of 6e-9
    EXPECT_NEAR(prompt_errors(c, Mode::per_token_asym, 1e-6).e_k[2], 6e-9 / (4 * 1e-6) / 2, 1e-9);
    EXPECT_NEAR(prompt_errors(c, Mode::per_token_asym, 1e-3).e_k[2], 6e-9 / (4 * 1e-3) / 2, 1e-12);
}

// Random numbers that f16 holds exactly, so that the 16-bit tail is exact.
LayerCapture random_capture(int n_tokens, int n_steps, int kv_heads, int q_heads, uint64_t seed) {
    SplitMix64   rng(seed);
    LayerCapture c;
    c.n_kv_heads = kv_heads;
    c.n_q_heads  = q_heads;
    c.head_dim_k = c.head_dim_v = 32;
    c.n_tokens                  = n_tokens;
    c.n_steps                   = n_steps;
    c.scale                     = 0.2f;
    const auto fill             = [&](std::vector<float> & to, int n) {
        for (int i = 0; i < n; ++i) to.push_back(f16_to_f32(f32_to_f16(static_cast<float>(2 * rng.uniform() - 1))));
    };
    fill(c.k, n_tokens * kv_heads * 32);
    fill(c.v, n_tokens * kv_heads * 32);
    fill(c.q, n_steps * q_heads * 32);
    return c;
}

TEST(PromptErrors, KiviLeavesTheUnfinishedBlockExact) {
    const LayerErrors tail = prompt_errors(random_capture(31, 3, 1, 1, 1), Mode::kivi, 1e-6);
    for (const double e : tail.e_k) EXPECT_EQ(e, 0);
    for (const double e : tail.e_o) EXPECT_EQ(e, 0);
    const LayerErrors block = prompt_errors(random_capture(32, 3, 1, 1, 1), Mode::kivi, 1e-6);
    for (const double e : block.e_k) EXPECT_GT(e, 0);
    // 33 tokens: the 33rd is exact, so the mean over tokens is 32/33 of that of the block.
    LayerCapture longer = random_capture(32, 3, 1, 1, 1);
    longer.n_tokens     = 33;
    longer.k.insert(longer.k.end(), 32, 0.5f);
    longer.v.insert(longer.v.end(), 32, 0.5f);
    const LayerErrors one_more = prompt_errors(longer, Mode::kivi, 1e-6);
    for (size_t b = 0; b < 3; ++b) EXPECT_NEAR(one_more.e_k[b], block.e_k[b] * 32 / 33, 1e-9);
}

TEST(PromptErrors, EachErrorDependsOnItsOwnBits) {
    LayerCapture c = random_capture(70, 5, 1, 1, 2);
    for (float & v : c.v) v = 0.75f;  // constant groups come back exactly
    const LayerErrors e = prompt_errors(c, Mode::kivi, 1e-6);
    for (size_t b = 0; b < 3; ++b) EXPECT_EQ(e.e_v[b], 0);
    for (size_t p = 0; p < kPairs.size(); ++p) EXPECT_NEAR(e.e_o[p], 0, 1e-6);  // weights sum to 1 whatever the keys are
    EXPECT_GT(e.e_a[2], 0);
    for (float & k : c.k) k = 0.25f;
    c.v                      = random_capture(70, 5, 1, 1, 3).v;
    const LayerErrors values = prompt_errors(c, Mode::kivi, 1e-6);
    for (size_t b = 0; b < 3; ++b) EXPECT_EQ(values.e_a[b], 0);
    EXPECT_EQ(values.e_o[0], values.e_o[3]);  // KV8 and K4V8: keys are exact at any bits
    EXPECT_GT(values.e_o[8], 0);
}

TEST(PromptErrors, MoreBitsLessErrorInBothModes) {
    for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
        const LayerErrors e = prompt_errors(random_capture(96, 8, 2, 4, 4), mode, 1e-6);
        for (size_t b = 0; b + 1 < 3; ++b) {
            EXPECT_LT(e.e_k[b], e.e_k[b + 1]);
            EXPECT_LT(e.e_v[b], e.e_v[b + 1]);
            EXPECT_LT(e.e_a[b], e.e_a[b + 1]);
        }
        EXPECT_LT(e.e_o[0], e.e_o[4]);
        EXPECT_LT(e.e_o[4], e.e_o[8]);
    }
}

// Two KV heads with two query heads each: head h of the result is what the same head gives alone.
TEST(PromptErrors, HeadsAreIndependentAndAveragedEqually) {
    const LayerCapture both   = random_capture(40, 4, 2, 4, 5);
    const LayerErrors  all    = prompt_errors(both, Mode::kivi, 1e-6);
    LayerCapture       second = both;
    second.n_kv_heads         = 1;
    second.n_q_heads          = 2;
    second.k.clear();
    second.v.clear();
    second.q.clear();
    const auto copy = [](const std::vector<float> & from, int row, int heads, int first, int n, std::vector<float> & to) {
        const auto at = from.begin() + (row * heads + first) * 32;
        to.insert(to.end(), at, at + n * 32);
    };
    for (int t = 0; t < 40; ++t) {
        copy(both.k, t, 2, 1, 1, second.k);
        copy(both.v, t, 2, 1, 1, second.v);
    }
    for (int s = 0; s < 4; ++s) copy(both.q, s, 4, 2, 2, second.q);
    const LayerErrors alone = prompt_errors(second, Mode::kivi, 1e-6);
    EXPECT_EQ(all.e_k_head[1], alone.e_k_head[0]);
    EXPECT_EQ(all.e_v_head[1], alone.e_v_head[0]);
    EXPECT_EQ(all.e_a_head[2], alone.e_a_head[0]);
    EXPECT_EQ(all.e_o_head[3], alone.e_o_head[1]);
    double mean = 0;
    for (const auto & head : all.e_o_head) mean += head[4] / 4;
    EXPECT_NEAR(all.e_o[4], mean, 1e-12);
}

TEST(MeanErrors, PromptsCountEqually) {
    const LayerErrors a = prompt_errors(random_capture(40, 4, 1, 2, 6), Mode::kivi, 1e-6);
    const LayerErrors b = prompt_errors(random_capture(90, 9, 1, 2, 7), Mode::kivi, 1e-6);
    const LayerErrors m = mean_errors({a, b});
    for (size_t i = 0; i < 3; ++i) {
        EXPECT_NEAR(m.e_k[i], (a.e_k[i] + b.e_k[i]) / 2, 1e-12);
        EXPECT_NEAR(m.e_a[i], (a.e_a[i] + b.e_a[i]) / 2, 1e-12);
    }
    for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(m.e_o[i], (a.e_o[i] + b.e_o[i]) / 2, 1e-12);
    EXPECT_NEAR(m.e_o_head[1][8], (a.e_o_head[1][8] + b.e_o_head[1][8]) / 2, 1e-12);
}

}  // namespace
}  // namespace kvt::testing
