#include "kvt/recipes/three_runs.h"

#include <algorithm>

namespace kvt::recipes {

Runs fit_three_runs(const std::vector<int> & need, const std::vector<double> & stored) {
    const size_t     n = need.size();
    std::vector<int> prefix(n + 1, -1), suffix(n + 1, -1);  // largest need of the first, of the last so many layers
    std::vector<int> storing(n + 1, 0);                     // of the first so many layers
    for (size_t i = 0; i < n; ++i) {
        prefix[i + 1]  = std::max(prefix[i], need[i]);
        suffix[i + 1]  = std::max(suffix[i], need[n - 1 - i]);
        storing[i + 1] = storing[i] + (need[i] >= 0);
    }
    const auto cost_of = [&](int largest, int layers) {
        return largest < 0 ? 0.0 : stored[static_cast<size_t>(largest)] * layers;
    };
    const auto type_of = [](int largest) { return std::max(largest, 0); };

    Runs best;
    bool found = false;
    for (size_t first = 0; first <= n; ++first) {
        int middle = -1;
        for (size_t end = first; end <= n; ++end) {  // the middle is [first, end)
            if (end > first) middle = std::max(middle, need[end - 1]);
            const size_t last = n - end;
            const double cost = cost_of(prefix[first], storing[first]) + cost_of(middle, storing[end] - storing[first]) +
                                cost_of(suffix[last], storing[n] - storing[end]);
            const auto outer = static_cast<int>(first + last);
            // Costs are sums of few multiples of 1/2 and compare exactly. Of equal outer lengths the last one seen has the
            // longest first run.
            const bool better = !found || cost < best.cost || (cost == best.cost && outer <= best.first + best.last);
            if (!better) continue;
            found = true;
            best  = {static_cast<int>(first), static_cast<int>(last), type_of(prefix[first]),
                     type_of(middle),         type_of(suffix[last]),  cost};
        }
    }
    return best;
}

}  // namespace kvt::recipes
