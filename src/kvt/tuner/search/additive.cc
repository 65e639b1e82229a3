#include "kvt/tuner/search/additive.h"

#include <algorithm>
#include <limits>

namespace kvt {

namespace {

constexpr double kImpossible = std::numeric_limits<double>::infinity();

// K and V bits of a candidate over all layers of its group, in steps of 2 bits.
int weight_of(const LayerGroup & group, size_t candidate) {
    const PairBits p = kPairs[static_cast<size_t>(group.pairs[candidate])];
    return (p.k + p.v) / 2 * static_cast<int>(group.layers.size());
}

}  // namespace

std::vector<std::vector<int>> additive_front(const LayerGroups & groups, const std::vector<std::vector<double>> & cost) {
    size_t most = 0;
    for (const LayerGroup & group : groups.groups) most += group.layers.size() * 8;
    // best[w]: lowest cost of the groups so far at total weight w; taken[g][w]: candidate of group g in it.
    std::vector<double>           best(most + 1, kImpossible);
    std::vector<std::vector<int>> taken;
    best[0] = 0;
    for (size_t g = 0; g < groups.groups.size(); ++g) {
        const LayerGroup &  group = groups.groups[g];
        std::vector<double> next(most + 1, kImpossible);
        taken.emplace_back(most + 1, -1);
        for (size_t c = 0; c < group.pairs.size(); ++c) {
            const size_t weight = static_cast<size_t>(weight_of(group, c));
            const double price  = std::max(0.0, cost[g][c]);  // noise may make a cheaper pair look better than the best one
            for (size_t w = weight; w <= most; ++w) {
                if (best[w - weight] + price < next[w]) {
                    next[w]         = best[w - weight] + price;
                    taken.back()[w] = static_cast<int>(c);
                }
            }
        }
        best = std::move(next);
    }
    std::vector<std::vector<int>> front;
    double                        lowest = kImpossible;
    for (size_t total = 0; total <= most; ++total) {
        if (!(best[total] < lowest)) continue;
        lowest = best[total];
        std::vector<int> choice(groups.groups.size());
        size_t           w = total;
        for (size_t g = groups.groups.size(); g-- > 0;) {
            choice[g] = taken[g][w];
            w -= static_cast<size_t>(weight_of(groups.groups[g], static_cast<size_t>(choice[g])));
        }
        front.push_back(std::move(choice));
    }
    return front;
}

}  // namespace kvt
