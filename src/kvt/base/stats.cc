#include "kvt/base/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kvt/base/rng.h"

namespace kvt {

namespace {

constexpr size_t kMinClusters = 8;

}  // namespace

double mean(std::span<const double> x) {
    if (x.empty()) return 0;
    double sum = 0;
    for (const double v : x) sum += v;
    return sum / static_cast<double>(x.size());
}

double percentile_sorted(std::span<const double> sorted, double q) {
    if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
    const double x     = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
    const auto   below = static_cast<size_t>(std::floor(x));
    const auto   above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (x - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval bootstrap_mean(std::span<const std::vector<double>> clusters, int resamples, uint64_t seed) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    if (clusters.size() < kMinClusters || resamples < 1) return {kNaN, kNaN};

    // The mean of pooled tokens needs only the sum and the count of each cluster.
    std::vector<double> sums, counts;  // [n_clusters]
    for (const auto & cluster : clusters) {
        double sum = 0;
        for (const double v : cluster) sum += v;
        sums.push_back(sum);
        counts.push_back(static_cast<double>(cluster.size()));
    }

    SplitMix64          rng(seed);
    std::vector<double> means;  // [resamples]
    means.reserve(static_cast<size_t>(resamples));
    for (int r = 0; r < resamples; ++r) {
        double sum = 0, count = 0;
        for (size_t i = 0; i < clusters.size(); ++i) {
            const size_t pick = rng.below(clusters.size());
            sum += sums[pick];
            count += counts[pick];
        }
        means.push_back(sum / count);
    }
    std::sort(means.begin(), means.end());
    return {percentile_sorted(means, 0.025), percentile_sorted(means, 0.975)};
}

}  // namespace kvt
