// Logits of a run, and how far two runs are apart.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace kvt::testing {

// --- Interface ---

using Rows = std::vector<std::vector<float>>;  // [positions][n_vocab]

inline double mean_distance(const Rows & a, const Rows & b) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        for (size_t j = 0; j < a[i].size(); ++j)
            sum += std::abs(static_cast<double>(a[i][j]) - static_cast<double>(b[i][j])), n += 1;
    }
    return sum / n;
}

}  // namespace kvt::testing
