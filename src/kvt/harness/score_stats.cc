#include "kvt/harness/score_stats.h"

#include <algorithm>
#include <cmath>

#include "kvt/eval/kld_stats.h"

namespace kvt {

// --- Implementation ---

namespace {

constexpr double   kTwoSided95 = 1.959964, kOneSided95 = 1.644854;  // quantiles of the normal distribution
constexpr uint64_t kSeed = 1;

std::optional<double> standard_error(std::span<const double> x) {
    if (x.size() < 2) return std::nullopt;
    const double m   = mean(x);
    double       sum = 0;
    for (const double v : x) sum += (v - m) * (v - m);
    const auto n = static_cast<double>(x.size());
    return std::sqrt(sum / (n - 1) / n);
}

bool is_binary(std::span<const double> x) {
    return std::all_of(x.begin(), x.end(), [](double v) { return v == 0 || v == 1; });
}

}  // namespace

std::optional<Interval> bootstrap_items(std::span<const double> values) {
    std::vector<std::vector<double>> clusters;
    for (const double v : values) clusters.push_back({v});
    const Interval interval = bootstrap_mean(clusters, kDefaultResamples, kSeed);
    if (std::isnan(interval.low)) return std::nullopt;
    return interval;
}

MeanScore mean_score(std::span<const double> values) {
    MeanScore s;
    s.n    = static_cast<int>(values.size());
    s.mean = mean(values);
    s.se   = standard_error(values);
    if (s.se) s.interval = Interval{s.mean - kTwoSided95 * *s.se, s.mean + kTwoSided95 * *s.se};
    // The ends of a share's interval are shares too; with few items the normal approximation goes past them.
    if (s.interval && std::ranges::all_of(values, [](double v) { return v >= 0 && v <= 1; }))
        s.interval = Interval{std::max(s.interval->low, 0.0), std::min(s.interval->high, 1.0)};
    return s;
}

double mcnemar_exact(int b, int c) {
    const int n = b + c;
    if (n == 0) return 1;
    double sum = 0;
    for (int i = 0; i <= std::min(b, c); ++i)
        sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) - n * std::log(2.0));
    return std::min(1.0, 2 * sum);
}

PairedScore paired_score(std::span<const double> first, std::span<const double> second) {
    PairedScore         s;
    std::vector<double> differences;
    for (size_t i = 0; i < std::min(first.size(), second.size()); ++i) differences.push_back(second[i] - first[i]);
    s.n          = static_cast<int>(differences.size());
    s.binary     = is_binary(first) && is_binary(second);
    s.difference = mean(differences);
    s.se         = standard_error(differences);
    if (s.n < 2) return s;
    double center = s.difference, spread = *s.se;
    if (s.binary) {
        for (const double d : differences) {
            s.only_first += d < 0 ? 1 : 0;
            s.only_second += d > 0 ? 1 : 0;
        }
        s.p = mcnemar_exact(s.only_first, s.only_second);
        // Bonett and Price (2012): one more item of each discordant kind. Without it, runs that agree on 20 items would seem
        // equal for sure.
        const double n = s.n + 2.0, lost = (s.only_first + 1) / n, won = (s.only_second + 1) / n;
        center     = won - lost;
        spread     = std::sqrt((lost + won - center * center) / n);
        s.interval = Interval{center - kTwoSided95 * spread, center + kTwoSided95 * spread};
    } else {
        s.interval = bootstrap_items(differences);
    }
    const double unseen = 1 - std::pow(0.05, 1.0 / s.n);
    s.smallest_margin   = std::max(unseen, std::abs(center) + kOneSided95 * spread);
    return s;
}

}  // namespace kvt
