#include "kvt/tuner/search/knapsack.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace kvt {

namespace {

constexpr double kUnreachable = std::numeric_limits<double>::infinity();

}  // namespace

Knapsack::Knapsack(const std::vector<KnapsackItem> & items) {
    uint64_t divisor = 0, span = 0;
    for (const KnapsackItem & item : items) {
        const uint64_t least = *std::min_element(item.bytes.begin(), item.bytes.end());
        base_ += least;
        sizes_.emplace_back();
        for (const uint64_t b : item.bytes) {
            sizes_.back().push_back(b - least);
            divisor = std::gcd(divisor, b - least);
        }
    }
    unit_ = std::max<uint64_t>(divisor, 1);
    for (auto & sizes : sizes_) {
        for (uint64_t & s : sizes) s /= unit_;
        span += *std::max_element(sizes.begin(), sizes.end());
    }
    best_.assign(span + 1, kUnreachable);
    best_[0]       = 0.0;
    uint64_t reach = 0;  // the largest total that the items so far can have
    for (size_t i = 0; i < items.size(); ++i) {
        std::vector<double>  next(span + 1, kUnreachable);
        std::vector<uint8_t> taken(span + 1, 0);
        for (size_t c = 0; c < sizes_[i].size(); ++c) {
            for (uint64_t total = 0; total <= reach; ++total) {
                const double cost = best_[total] + items[i].cost[c];
                if (!(cost < next[total + sizes_[i][c]])) continue;
                next[total + sizes_[i][c]]  = cost;
                taken[total + sizes_[i][c]] = static_cast<uint8_t>(c);
            }
        }
        reach += *std::max_element(sizes_[i].begin(), sizes_[i].end());
        best_ = std::move(next);
        taken_.push_back(std::move(taken));
    }
    double least = kUnreachable;
    for (uint64_t total = 0; total <= span; ++total) {
        if (!(best_[total] < least)) continue;
        least = best_[total];
        front_.push_back(total);
    }
}

double Knapsack::cost(size_t i) const { return best_[front_[i]]; }

std::vector<int> Knapsack::choices(size_t i) const {
    std::vector<int> chosen(taken_.size());
    uint64_t         total = front_[i];
    for (size_t item = taken_.size(); item-- > 0;) {
        chosen[item] = taken_[item][total];
        total -= sizes_[item][static_cast<size_t>(chosen[item])];
    }
    return chosen;
}

}  // namespace kvt
