// Statistics of scores: standard errors, intervals, the paired tests between two runs of the same items (evaluation.md 2.5).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/stats.h"

namespace kvt {

// --- Interface ---

// Mean of items that each have one value (of several samples: their mean). se = sd / sqrt(n) with n - 1 in sd, which for values 0
// and 1 is sqrt(p (1 - p) / (n - 1)); interval = mean +- 1.96 se, cut to 0 .. 1 where every value lies
// there. With one item there is no error.
struct MeanScore {
    int                     n    = 0;
    double                  mean = 0;
    std::optional<double>   se;
    std::optional<Interval> interval;
};
MeanScore mean_score(std::span<const double> values);

// 95 % interval of the mean of items by bootstrap over them; none with fewer than 8.
std::optional<Interval> bootstrap_items(std::span<const double> values);

// pass@k: the chance that at least one of k answers drawn from n, of which c are right, is right: 1 - C(n-c, k) / C(n, k), as a
// product (evaluation.md section 6.5). 0 <= c <= n and 1 <= k <= n; n 10, c 3, k 2 gives 0.533333.
constexpr double pass_at_k(int n, int c, int k) {
    if (n - c < k) return 1;
    double none = 1;
    for (int i = n - c + 1; i <= n; ++i) none *= 1 - static_cast<double>(k) / i;
    return 1 - none;
}

// McNemar's exact test, two-sided: `b` items that only the first got right, `c` only the second. (1, 3) 0.625; (2, 10) 0.038574.
double mcnemar_exact(int b, int c);

// Candidate minus reference over the same items.
struct PairedScore {
    int                   n          = 0;
    bool                  binary     = false;               // every value is 0 or 1
    int                   only_first = 0, only_second = 0;  // binary: items that only the reference, only the candidate got right
    double                difference = 0;
    std::optional<double> se;          // sd(difference per item) / sqrt(n)
    std::optional<Interval> interval;  // 95 %: adjusted Wald (binary), else bootstrap over items, which needs 8 of them
    std::optional<double>   p;         // McNemar exact; binary only
    // The smallest margin, in units of the score, for which two one-sided tests at 5 % show the runs equivalent: the farther end
    // of the 90 % interval of the difference, and never less than 1 - 0.05^(1/n), the share of items that could change unseen.
    std::optional<double> smallest_margin;
};
PairedScore paired_score(std::span<const double> first, std::span<const double> second);

}  // namespace kvt
