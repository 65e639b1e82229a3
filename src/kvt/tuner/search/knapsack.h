// The multiple-choice knapsack: one choice per item, least total cost for every total size at once, by dynamic programming.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvt {

// --- Interface ---

// What one item can be. Sizes and costs belong together; sizes are bytes, costs any finite number.
struct KnapsackItem {
    std::vector<uint64_t> bytes;
    std::vector<double>   cost;
};

class Knapsack {
public:
    // Every item has at least one choice. Time and memory O(items * choices * span), where span is the range of total sizes in
    // units of the greatest common divisor of all size differences: exact, nothing is rounded.
    explicit Knapsack(const std::vector<KnapsackItem> & items);

    // The undominated totals, ascending in bytes and strictly falling in cost.
    size_t   size() const { return front_.size(); }
    uint64_t bytes(size_t i) const { return base_ + front_[i] * unit_; }
    double   cost(size_t i) const;
    // The choice of every item that reaches point i.   [n_items]
    std::vector<int> choices(size_t i) const;

private:
    uint64_t                           base_ = 0, unit_ = 1;  // total of the smallest choices; what totals are counted in
    std::vector<std::vector<uint64_t>> sizes_;                // [item][choice] above its smallest, in units
    std::vector<std::vector<uint8_t>>  taken_;                // [item][total] best choice that ends exactly there
    std::vector<double>                best_;                 // [total] after all items
    std::vector<uint64_t>              front_;                // totals, in units
};

}  // namespace kvt
