#include <algorithm>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/recipes/three_runs.h"

namespace kvt::recipes {
namespace {

const std::vector<double> kStored{4.5, 5.5, 6.5, 8.5, 16};

// Every prefix and suffix, each with the largest need inside.
Runs brute_force(const std::vector<int> & need) {
    const int n = static_cast<int>(need.size());
    Runs      best{-1, 0, 0, 0, 0, 1e30};
    for (int outer = 0; outer <= n; ++outer) {
        for (int first = outer; first >= 0; --first) {
            double cost = 0;
            for (const auto & [from, to] : {std::pair{0, first}, {first, n - (outer - first)}, {n - (outer - first), n}}) {
                const int largest = from < to ? *std::max_element(need.begin() + from, need.begin() + to) : -1;
                for (int i = from; i < to; ++i) {
                    if (need[static_cast<size_t>(i)] >= 0) cost += kStored[static_cast<size_t>(largest)];
                }
            }
            if (cost < best.cost) best = {first, outer - first, 0, 0, 0, cost};
        }
    }
    return best;
}

TEST(ThreeRuns, AgreesWithBruteForce) {
    SplitMix64 rng(2);
    for (int round = 0; round < 2000; ++round) {
        std::vector<int> need(1 + rng.below(8));
        for (int & x : need) x = static_cast<int>(rng.below(6)) - 1;
        const Runs fit = fit_three_runs(need, kStored), best = brute_force(need);
        ASSERT_EQ(fit.cost, best.cost);
        ASSERT_EQ(fit.first, best.first);
        ASSERT_EQ(fit.last, best.last);
        for (int i = 0, n = static_cast<int>(need.size()); i < n; ++i) {
            const int got = i >= n - fit.last ? fit.last_need : i < fit.first ? fit.first_need : fit.middle_need;
            ASSERT_GE(got, need[static_cast<size_t>(i)]);
        }
    }
}

TEST(ThreeRuns, ThreeRunsAreExact) {
    const Runs fit = fit_three_runs({3, 3, 0, 0, 0, 4}, kStored);
    EXPECT_EQ(fit.first, 2);
    EXPECT_EQ(fit.last, 1);
    EXPECT_EQ(fit.cost, 2 * 8.5 + 3 * 4.5 + 16);
    EXPECT_EQ(fit_three_runs({0, 0}, kStored).first, 0) << "no outer runs without need";
    EXPECT_EQ(fit_three_runs({-1, 3, -1}, kStored).cost, 8.5) << "layers without a cache cost nothing";
}

}  // namespace
}  // namespace kvt::recipes
