#include "kvt/harness/score_stats.h"

#include <cmath>

#include <gtest/gtest.h>

namespace kvt {
namespace {

std::vector<double> zeros_and_ones(int ones, int n) {
    std::vector<double> x(static_cast<size_t>(n), 0.0);
    std::fill(x.begin(), x.begin() + ones, 1.0);
    return x;
}

TEST(McNemar, CheckValues) {
    EXPECT_NEAR(mcnemar_exact(1, 3), 0.625, 1e-9);
    EXPECT_NEAR(mcnemar_exact(2, 10), 0.038574, 1e-6);
    EXPECT_NEAR(mcnemar_exact(10, 25), 0.016674, 1e-6);
    EXPECT_NEAR(mcnemar_exact(25, 10), 0.016674, 1e-6);
    EXPECT_EQ(mcnemar_exact(0, 0), 1);
    EXPECT_NEAR(mcnemar_exact(4, 4), 1, 1e-12);
}

TEST(PassAtK, WorkedValues) {
    EXPECT_NEAR(pass_at_k(10, 3, 2), 0.533333, 5e-7);  // evaluation.md section 6.5
    EXPECT_DOUBLE_EQ(pass_at_k(10, 3, 1), 0.3);
    EXPECT_EQ(pass_at_k(10, 0, 5), 0);
    EXPECT_EQ(pass_at_k(10, 10, 1), 1);
    EXPECT_EQ(pass_at_k(10, 6, 5), 1);  // fewer wrong ones than k
    EXPECT_NEAR(pass_at_k(200, 1, 100), 0.5, 1e-12);
}

TEST(MeanScore, ShareOfGsm8kSize) {
    const MeanScore s = mean_score(zeros_and_ones(1055, 1319));
    EXPECT_NEAR(s.mean, 0.8, 0.001);
    EXPECT_NEAR(*s.se, std::sqrt(s.mean * (1 - s.mean) / 1318), 1e-12);
    EXPECT_NEAR(*s.se, 0.011, 1e-4);
    EXPECT_NEAR(s.interval->high - s.interval->low, 2 * 1.96 * *s.se, 1e-5);
    EXPECT_FALSE(mean_score(std::vector<double>{1}).se.has_value());
}

TEST(MeanScore, IntervalOfAShareStaysWithinZeroAndOne) {
    const MeanScore few = mean_score(zeros_and_ones(3, 4));  // 0.75 +- 0.49
    EXPECT_EQ(few.interval->high, 1);
    EXPECT_NEAR(few.interval->low, 0.75 - 1.96 * *few.se, 1e-5);
    EXPECT_EQ(mean_score(zeros_and_ones(1, 4)).interval->low, 0);
    const MeanScore nats = mean_score(std::vector<double>{-0.1, -3.0, 1.5});  // no share
    EXPECT_GT(nats.interval->high, 1);
    EXPECT_LT(nats.interval->low, 0);
}

TEST(PairedScore, CountsAndTestsBinaryVerdicts) {
    std::vector<double> a(40, 1.0), b(40, 1.0);
    for (int i = 0; i < 10; ++i) b[static_cast<size_t>(i)] = 0;
    a[20] = a[21]       = 0;
    const PairedScore s = paired_score(a, b);
    EXPECT_TRUE(s.binary);
    EXPECT_EQ(s.only_first, 10);
    EXPECT_EQ(s.only_second, 2);
    EXPECT_NEAR(s.difference, -0.2, 1e-12);
    EXPECT_NEAR(*s.p, 0.038574, 1e-6);
    double variance = 0;
    for (size_t i = 0; i < 40; ++i) variance += std::pow(b[i] - a[i] + 0.2, 2) / 39;
    EXPECT_NEAR(*s.se, std::sqrt(variance / 40), 1e-12);
    // Bonett and Price: (3 - 11) / 42, spread sqrt((14 - 42 * d^2) / 42^2 ...) worked out by hand.
    const double d = (3.0 - 11.0) / 42, spread = std::sqrt((14.0 / 42 - d * d) / 42);
    EXPECT_NEAR(s.interval->low, d - 1.959964 * spread, 1e-9);
    EXPECT_NEAR(*s.smallest_margin, -d + 1.644854 * spread, 1e-9);
}

TEST(PairedScore, AgreementOfFewItemsShowsLittle) {
    const auto        x = zeros_and_ones(7, 20);
    const PairedScore s = paired_score(x, x);
    EXPECT_EQ(s.difference, 0);
    EXPECT_EQ(*s.p, 1);
    EXPECT_GE(*s.smallest_margin, 1 - std::pow(0.05, 1.0 / 20)) << "13.9 points: what 20 items cannot see";
    const auto many = zeros_and_ones(7, 2000);
    EXPECT_LT(*paired_score(many, many).smallest_margin, 0.002);
}

TEST(PairedScore, MeansOfSamplesUseTheBootstrap) {
    std::vector<double> a, b;
    for (int i = 0; i < 60; ++i) {
        a.push_back(0.25 * (i % 5));
        b.push_back(0.25 * (i % 5 == 4 ? 3 : i % 5));
    }
    const PairedScore s = paired_score(a, b);
    EXPECT_FALSE(s.binary);
    EXPECT_FALSE(s.p.has_value());
    EXPECT_NEAR(s.difference, -0.05, 1e-12);
    EXPECT_LT(s.interval->low, -0.05);
    EXPECT_GT(s.interval->high, -0.05);
    EXPECT_LT(s.interval->high, 0);
    const std::vector<double> few{0.5, 0.25}, other{0.25, 0.5};
    EXPECT_FALSE(paired_score(few, other).interval.has_value()) << "no bootstrap below 8 items";
    EXPECT_FALSE(paired_score(std::vector<double>{1}, std::vector<double>{1}).smallest_margin.has_value());
}

}  // namespace
}  // namespace kvt
