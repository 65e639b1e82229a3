#include "kvt/tuner/search/additive.h"

#include <algorithm>

#include "kvt/tuner/search/knapsack.h"

namespace kvt {

std::vector<std::vector<int>> additive_front(const LayerGroups & groups, const std::vector<std::vector<double>> & cost) {
    std::vector<KnapsackItem> items;
    for (size_t g = 0; g < groups.groups.size(); ++g) {
        const LayerGroup & group = groups.groups[g];
        KnapsackItem       item;
        for (size_t c = 0; c < group.pairs.size(); ++c) {
            const PairBits p = kPairs[static_cast<size_t>(group.pairs[c])];
            item.bytes.push_back(static_cast<uint64_t>(p.k + p.v) * group.layers.size());
            item.cost.push_back(std::max(0.0, cost[g][c]));  // noise may make a cheaper pair look better than the best one
        }
        items.push_back(std::move(item));
    }
    const Knapsack                solved(items);
    std::vector<std::vector<int>> front;
    for (size_t i = 0; i < solved.size(); ++i) front.push_back(solved.choices(i));
    return front;
}

}  // namespace kvt
