#include "kvt/tuner/search/knapsack.h"

#include <map>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"

namespace kvt {
namespace {

// The undominated totals of all combinations.
std::map<uint64_t, double> brute_force(const std::vector<KnapsackItem> & items) {
    std::map<uint64_t, double> totals{{0, 0.0}};
    for (const KnapsackItem & item : items) {
        std::map<uint64_t, double> next;
        for (const auto & [bytes, cost] : totals) {
            for (size_t c = 0; c < item.bytes.size(); ++c) {
                const auto [at, fresh] = next.emplace(bytes + item.bytes[c], cost + item.cost[c]);
                at->second             = fresh ? at->second : std::min(at->second, cost + item.cost[c]);
            }
        }
        totals = std::move(next);
    }
    std::map<uint64_t, double> front;
    for (const auto & [bytes, cost] : totals) {
        if (front.empty() || cost < front.rbegin()->second) front.emplace(bytes, cost);
    }
    return front;
}

TEST(Knapsack, FindsEveryUndominatedTotal) {
    SplitMix64 rng(1);
    for (int round = 0; round < 100; ++round) {
        std::vector<KnapsackItem> items(1 + rng.below(5));
        for (KnapsackItem & item : items) {
            for (uint64_t n = 1 + rng.below(4); n > 0; --n) {
                item.bytes.push_back(64 * (1 + rng.below(9)));
                item.cost.push_back(rng.uniform() - 0.2);  // noise may make a choice look better than nothing
            }
        }
        const Knapsack solved(items);
        const auto     expected = brute_force(items);
        ASSERT_EQ(solved.size(), expected.size());
        size_t i = 0;
        for (const auto & [bytes, cost] : expected) {
            EXPECT_EQ(solved.bytes(i), bytes);
            EXPECT_NEAR(solved.cost(i), cost, 1e-12);
            uint64_t sum   = 0;
            double   price = 0;
            for (size_t item = 0; item < items.size(); ++item) {
                const auto c = static_cast<size_t>(solved.choices(i)[item]);
                sum += items[item].bytes[c];
                price += items[item].cost[c];
            }
            EXPECT_EQ(sum, bytes) << "the choices reach the total";
            EXPECT_NEAR(price, cost, 1e-12);
            ++i;
        }
    }
}

TEST(Knapsack, ItemsWithOneChoiceOnlyAddUp) {
    const Knapsack solved({{{100}, {0.5}}, {{28}, {0.25}}});
    ASSERT_EQ(solved.size(), 1u);
    EXPECT_EQ(solved.bytes(0), 128u);
    EXPECT_EQ(solved.cost(0), 0.75);
    EXPECT_EQ(solved.choices(0), (std::vector<int>{0, 0}));
}

}  // namespace
}  // namespace kvt
