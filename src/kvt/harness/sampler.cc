#include "kvt/harness/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "kvt/base/rng.h"
#include "kvt/eval/log_softmax.h"

namespace kvt {

// --- Implementation ---

Status check_sampling(const Sampling & s) {
    if (!(s.temperature >= 0) || !std::isfinite(s.temperature))
        return Error{fmt::format("temperature {} must be 0 (greedy) or more", s.temperature)};
    if (!(s.top_p > 0 && s.top_p <= 1)) return Error{fmt::format("top-p {} is not in (0, 1]", s.top_p)};
    if (s.top_k < 0) return Error{fmt::format("top-k {} must be 0 (off) or more", s.top_k)};
    return ok_status();
}

uint32_t sampler_seed(std::string_view task, std::string_view item, int sample, uint64_t seed) {
    return static_cast<uint32_t>(splitmix64_finaliser(fnv1a64(fmt::format("{}\n{}\n{}\n{}", task, item, sample, seed))));
}

namespace {

// Ids that top_k and top_p leave, likeliest first (by id alone when neither is on).
std::vector<int> candidates(std::span<const float> logits, const Sampling & s) {
    std::vector<int> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const auto likelier = [&](int a, int b) {
        const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
        return x != y ? x > y : a < b;
    };
    if (s.top_k > 0 && static_cast<size_t>(s.top_k) < ids.size()) {
        std::nth_element(ids.begin(), ids.begin() + s.top_k, ids.end(), likelier);
        ids.resize(static_cast<size_t>(s.top_k));
    }
    if (s.top_p >= 1) {
        if (s.top_k > 0) std::sort(ids.begin(), ids.end(), likelier);
        return ids;
    }
    const double top   = static_cast<double>(logits[static_cast<size_t>(*std::min_element(ids.begin(), ids.end(), likelier))]);
    const auto   mass  = [&](int id) { return std::exp(static_cast<double>(logits[static_cast<size_t>(id)]) - top); };
    double       total = 0;
    for (const int id : ids) total += mass(id);
    // Tokens below (1 - top_p) / n of the mass sum to less than 1 - top_p, so none of them is needed; sorting the rest is cheap.
    const double least = (1 - s.top_p) / static_cast<double>(ids.size()) * total;
    std::erase_if(ids, [&](int id) { return mass(id) < least; });
    std::sort(ids.begin(), ids.end(), likelier);
    double seen = 0;
    size_t n    = 0;
    while (n < ids.size() && seen < s.top_p * total) seen += mass(ids[n++]);
    ids.resize(std::max<size_t>(n, 1));
    return ids;
}

}  // namespace

Result<Token> Sampler::next(std::span<const float> logits) {
    if (!all_finite(logits)) return Error{"the model's logits are not finite numbers"};
    if (sampling_.greedy()) return Token{argmax(logits)};
    const std::vector<int> ids = candidates(logits, sampling_);
    const double           top = static_cast<double>(logits[static_cast<size_t>(*std::max_element(
                  ids.begin(), ids.end(), [&](int a, int b) { return logits[static_cast<size_t>(a)] < logits[static_cast<size_t>(b)]; }))]);
    std::vector<double>    weights(ids.size());
    double                 total = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
        weights[i] = std::exp((static_cast<double>(logits[static_cast<size_t>(ids[i])]) - top) / sampling_.temperature);
        total += weights[i];
    }
    double left = rng_.uniform() * total;
    size_t i    = 0;
    while (i + 1 < ids.size() && left >= weights[i]) left -= weights[i++];
    return Token{ids[i]};
}

}  // namespace kvt
