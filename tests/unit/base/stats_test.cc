#include "kvt/base/stats.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"

namespace kvt {
namespace {

TEST(Mean, OfNothingIsZero) { EXPECT_EQ(mean({}), 0.0); }

TEST(Mean, OfValues) {
    const std::vector<double> x{1, 2, 6};
    EXPECT_DOUBLE_EQ(mean(x), 3.0);
}

TEST(Percentile, KnownValues) {
    const std::vector<double> x{1, 2, 3, 4, 5};
    EXPECT_DOUBLE_EQ(percentile_sorted(x, 0.5), 3.0);
    EXPECT_DOUBLE_EQ(percentile_sorted(x, 0.99), 4.96);
    EXPECT_DOUBLE_EQ(percentile_sorted(x, 0.999), 4.996);
    EXPECT_DOUBLE_EQ(percentile_sorted(x, 0.0), 1.0);
    EXPECT_DOUBLE_EQ(percentile_sorted(x, 1.0), 5.0);
}

TEST(Percentile, OneValueAndNone) {
    const std::vector<double> one{7};
    EXPECT_DOUBLE_EQ(percentile_sorted(one, 0.999), 7.0);
    EXPECT_TRUE(std::isnan(percentile_sorted({}, 0.5)));
}

TEST(Bootstrap, FewerThanEightClustersGiveNoInterval) {
    const std::vector<std::vector<double>> seven(7, {1.0, 2.0});
    EXPECT_TRUE(std::isnan(bootstrap_mean(seven, 100, 1).low));
    EXPECT_TRUE(std::isnan(bootstrap_mean(seven, 100, 1).high));
}

TEST(Bootstrap, EqualClustersGiveAPoint) {
    const std::vector<std::vector<double>> clusters(8, {1.0, 3.0});
    const Interval                         interval = bootstrap_mean(clusters, 200, 1);
    EXPECT_DOUBLE_EQ(interval.low, 2.0);
    EXPECT_DOUBLE_EQ(interval.high, 2.0);
}

TEST(Bootstrap, PoolsTokensInsteadOfAveragingClusterMeans) {
    // One cluster holds 9 zeros, seven hold a single 1: the pooled mean is 7/16 at the centre, that of cluster means 7/8.
    std::vector<std::vector<double>> clusters(7, {1.0});
    clusters.push_back(std::vector<double>(9, 0.0));
    const Interval interval = bootstrap_mean(clusters, 2000, 1);
    EXPECT_LT(interval.low, 7.0 / 16);
    EXPECT_GT(interval.high, 7.0 / 16);
    EXPECT_LT(interval.low, 0.3);  // draws with the long cluster three times or more
}

TEST(Bootstrap, SameSeedSameIntervalAndCoverageIsNear95Percent) {
    SplitMix64 rng(5);
    int        covered = 0;
    for (int trial = 0; trial < 200; ++trial) {
        std::vector<std::vector<double>> clusters;
        for (int c = 0; c < 30; ++c) {
            std::vector<double> tokens;
            for (int i = 0; i < 4; ++i) tokens.push_back(rng.uniform());
            clusters.push_back(tokens);
        }
        const Interval interval = bootstrap_mean(clusters, 400, 9);
        const Interval again    = bootstrap_mean(clusters, 400, 9);
        ASSERT_EQ(interval.low, again.low);
        ASSERT_EQ(interval.high, again.high);
        covered += interval.low <= 0.5 && 0.5 <= interval.high;
    }
    EXPECT_GE(covered, 176);  // 190 expected, standard deviation 3.1; percentile intervals of 30 clusters run a little narrow
    EXPECT_LE(covered, 200);
}

}  // namespace
}  // namespace kvt
