// The knapsack against brute force.
#include "kvt/tuner/search/additive.h"

#include <map>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"

namespace kvt {
namespace {

LayerGroups make_groups(const std::vector<std::vector<int>> & pairs, const std::vector<int> & sizes) {
    LayerGroups groups;
    int         layer = 0;
    for (size_t g = 0; g < pairs.size(); ++g) {
        LayerGroup group;
        for (int i = 0; i < sizes[g]; ++i) group.layers.push_back(layer++);
        group.pairs = pairs[g];
        group.e_o.resize(group.pairs.size());
        groups.groups.push_back(group);
    }
    return groups;
}

int bits_of(const LayerGroups & groups, const std::vector<int> & choice) {
    int bits = 0;
    for (size_t g = 0; g < choice.size(); ++g) {
        const LayerGroup & group = groups.groups[g];
        const PairBits     p     = kPairs[static_cast<size_t>(group.pairs[static_cast<size_t>(choice[g])])];
        bits += (p.k + p.v) * static_cast<int>(group.layers.size());
    }
    return bits;
}

double cost_of(const std::vector<std::vector<double>> & cost, const std::vector<int> & choice) {
    double sum = 0;
    for (size_t g = 0; g < choice.size(); ++g) sum += std::max(0.0, cost[g][static_cast<size_t>(choice[g])]);
    return sum;
}

TEST(Additive, EqualsBruteForce) {
    SplitMix64 rng(5);
    for (int round = 0; round < 50; ++round) {
        const std::vector<std::vector<int>> pairs{{0, 1, 4, 5, 8}, {0, 3, 4, 7, 8}, {0, 4, 8}, {4}};
        const std::vector<int>              sizes{1, static_cast<int>(1 + rng.below(4)), 2, 1};
        const LayerGroups                   groups = make_groups(pairs, sizes);
        std::vector<std::vector<double>>    cost;
        for (const auto & p : pairs) {
            cost.push_back({0.0});
            while (cost.back().size() < p.size()) cost.back().push_back(rng.uniform() - 0.1);
        }
        std::map<int, double> lowest;  // by bits
        std::vector<int>      c(4);
        for (c[0] = 0; c[0] < 5; ++c[0]) {
            for (c[1] = 0; c[1] < 5; ++c[1]) {
                for (c[2] = 0; c[2] < 3; ++c[2]) {
                    const auto found    = lowest.emplace(bits_of(groups, c), cost_of(cost, c));
                    found.first->second = std::min(found.first->second, cost_of(cost, c));
                }
            }
        }
        std::vector<std::pair<int, double>> expected;
        for (const auto & [bits, value] : lowest) {
            if (expected.empty() || value < expected.back().second - 1e-15) expected.emplace_back(bits, value);
        }
        const auto front = additive_front(groups, cost);
        ASSERT_EQ(front.size(), expected.size()) << round;
        for (size_t i = 0; i < front.size(); ++i) {
            EXPECT_EQ(bits_of(groups, front[i]), expected[i].first);
            EXPECT_NEAR(cost_of(cost, front[i]), expected[i].second, 1e-12);
        }
    }
}

TEST(Additive, NegativeCostsCountAsFree) {
    const LayerGroups groups = make_groups({{0, 4}}, {3});
    const auto        front  = additive_front(groups, {{0.0, -0.5}});
    ASSERT_EQ(front.size(), 1u);
    EXPECT_EQ(front[0], std::vector<int>{1});
}

}  // namespace
}  // namespace kvt
