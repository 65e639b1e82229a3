// Small statistics in double precision.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvt {

// --- Interface ---

double mean(std::span<const double> x);  // 0 for an empty span

// Percentile q in [0, 1] of ascending `sorted`: x = q * (n - 1), linear between floor(x) and the next value.
// 1..5 give median 3, p99 4.96, p99.9 4.996.
double percentile_sorted(std::span<const double> sorted, double q);

struct Interval {
    double low = 0, high = 0;
};

// 95 % bootstrap interval of the mean of values grouped in clusters (tokens of one chunk are correlated): `resamples`
// draws of whole clusters with replacement, 2.5 and 97.5 percentiles of the pooled means. Clusters must not be empty.
// Needs at least 8 clusters; with fewer the interval is [NaN, NaN].
Interval bootstrap_mean(std::span<const std::vector<double>> clusters, int resamples, uint64_t seed);

}  // namespace kvt
