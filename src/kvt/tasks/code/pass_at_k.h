// pass@k: the chance that at least one of k samples out of n, of which c are right, is right.
#pragma once

#include <cstdint>

namespace kvt {

// --- Interface ---

// 1 - C(n-c, k) / C(n, k), as a product (evaluation.md section 6.5). 0 <= c <= n and 1 <= k <= n; n 10, c 3, k 2 gives 0.533333.
constexpr double pass_at_k(int64_t n, int64_t c, int64_t k) {
    if (n - c < k) return 1;
    double none = 1;
    for (int64_t i = n - c + 1; i <= n; ++i) none *= 1 - static_cast<double>(k) / static_cast<double>(i);
    return 1 - none;
}

}  // namespace kvt
