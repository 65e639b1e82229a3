#include "kvt/harness/sampler.h"

#include <cmath>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvt {
namespace {

using ::testing::HasSubstr;

TEST(SamplerSeed, CheckValueOfTheRule) {
    EXPECT_EQ(sampler_seed("gsm8k", "0", 0, 42), 2341935006u);
    EXPECT_NE(sampler_seed("gsm8k", "0", 1, 42), sampler_seed("gsm8k", "0", 0, 42));
    EXPECT_NE(sampler_seed("gsm8k", "1", 0, 42), sampler_seed("gsm8k", "0", 0, 42));
    EXPECT_NE(sampler_seed("gsm8k", "0", 0, 43), sampler_seed("gsm8k", "0", 0, 42));
}

TEST(Sampler, GreedyTakesTheLowestIdOnATie) {
    const std::vector<float> logits{1, 3, 3, 2};
    EXPECT_EQ(*Sampler({}, 1).next(logits), 1);
}

std::map<Token, double> shares(const Sampling & sampling, const std::vector<float> & logits, int n = 20000) {
    Sampler                 sampler(sampling, 7);
    std::map<Token, double> counts;
    for (int i = 0; i < n; ++i) counts[*sampler.next(logits)] += 1.0 / n;
    return counts;
}

TEST(Sampler, DrawsFollowTheSoftmaxAtTheTemperature) {
    const std::vector<float> logits{std::log(1.0f), std::log(2.0f), std::log(5.0f)};
    auto                     at_1 = shares({1, 1, 0}, logits);
    EXPECT_NEAR(at_1[0], 0.125, 0.01);
    EXPECT_NEAR(at_1[1], 0.25, 0.01);
    auto at_half = shares({0.5, 1, 0}, logits);  // squares: 1, 4, 25
    EXPECT_NEAR(at_half[2], 25.0 / 30, 0.01);
}

TEST(Sampler, TopKThenTopPThenTemperature) {
    const std::vector<float> logits{std::log(4.0f), std::log(3.0f), std::log(2.0f), std::log(1.0f)};
    auto                     k2 = shares({1, 1, 2}, logits);
    EXPECT_EQ(k2.size(), 2u);
    EXPECT_NEAR(k2[0], 4.0 / 7, 0.01);
    EXPECT_EQ(shares({1, 0.39, 0}, logits).size(), 1u);  // the first has 0.4
    EXPECT_EQ(shares({1, 0.41, 0}, logits).size(), 2u);
    EXPECT_EQ(shares({1, 0.69, 0}, logits).size(), 2u);
    EXPECT_EQ(shares({1, 0.71, 0}, logits).size(), 3u);
    // After top_k 2 the first has 4/7 = 0.571 of what is left, and the temperature does not change which tokens top_p keeps.
    EXPECT_EQ(shares({1, 0.57, 2}, logits).size(), 1u);
    EXPECT_EQ(shares({5, 0.57, 2}, logits).size(), 1u);
    EXPECT_EQ(shares({5, 0.58, 2}, logits).size(), 2u);
}

TEST(Sampler, TiesAtTheBorderGoToTheLowerId) {
    const std::vector<float> logits{0, 1, 1, 1};
    const auto               k2 = shares({1, 1, 2}, logits, 500);
    EXPECT_TRUE(k2.contains(1) && k2.contains(2) && !k2.contains(3));
}

TEST(Sampler, SameSeedSameDraws) {
    const std::vector<float> logits{0, 0.5f, 1, 0.3f, 0.2f};
    Sampler                  a({1, 0.9, 0}, 5), b({1, 0.9, 0}, 5), c({1, 0.9, 0}, 6);
    bool                     differs = false;
    for (int i = 0; i < 50; ++i) {
        const Token x = *a.next(logits);
        EXPECT_EQ(x, *b.next(logits));
        differs |= x != *c.next(logits);
    }
    EXPECT_TRUE(differs);
}

TEST(Sampler, WhatIsNotFiniteIsAnError) {
    EXPECT_THAT(Sampler({}, 1).next(std::vector<float>{1, std::nanf("")}).error().message, HasSubstr("not finite"));
    EXPECT_THAT(Sampler({1, 1, 0}, 1).next(std::vector<float>{1, INFINITY}).error().message, HasSubstr("not finite"));
}

TEST(CheckSampling, RangesAreNamed) {
    EXPECT_TRUE(check_sampling({0, 1, 0}).ok());
    EXPECT_THAT(check_sampling({-0.1, 1, 0}).error().message, HasSubstr("temperature -0.1"));
    EXPECT_THAT(check_sampling({1, 0, 0}).error().message, HasSubstr("top-p 0"));
    EXPECT_THAT(check_sampling({1, 1.1, 0}).error().message, HasSubstr("top-p 1.1"));
    EXPECT_THAT(check_sampling({1, 1, -1}).error().message, HasSubstr("top-k -1"));
    EXPECT_FALSE(check_sampling({std::nan(""), 1, 0}).ok());
}

}  // namespace
}  // namespace kvt
