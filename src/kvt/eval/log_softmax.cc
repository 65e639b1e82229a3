#include "kvt/eval/log_softmax.h"

#include <algorithm>
#include <cmath>

#include "kvt/eval/row_kernels.h"

namespace kvt {

// --- Implementation ---

double log_sum_exp(std::span<const float> logits) {
    const double max = static_cast<double>(row_kernels().max(logits.data(), logits.size()));
    double       sum = 0;
    for (const float x : logits) sum += std::exp(static_cast<double>(x) - max);
    return max + std::log(sum);
}

bool all_finite(std::span<const float> logits) { return row_kernels().finite(logits.data(), logits.size()); }

int argmax(std::span<const float> logits) {
    const float max = row_kernels().max(logits.data(), logits.size());
    const auto  at  = std::find(logits.begin(), logits.end(), max);
    return at == logits.end() ? 0 : static_cast<int>(at - logits.begin());  // not found: NaN
}

double kl_divergence(std::span<const float> ref, double lse_ref, std::span<const float> cand, double lse_cand) {
    double sum = 0;
    for (size_t i = 0; i < ref.size(); ++i) {
        const double log_ref  = static_cast<double>(ref[i]) - lse_ref;
        const double log_cand = static_cast<double>(cand[i]) - lse_cand;
        sum += std::exp(log_ref) * (log_ref - log_cand);
    }
    return clamp_rounding(sum);
}

double kl_divergence_compat(std::span<const float> log_p_ref, std::span<const float> cand, double lse_cand) {
    double sum = 0;
    for (size_t i = 0; i < log_p_ref.size(); ++i) {
        if (!(log_p_ref[i] > -16.0f)) continue;
        const double log_ref = static_cast<double>(log_p_ref[i]);
        sum += std::exp(log_ref) * (log_ref - (static_cast<double>(cand[i]) - lse_cand));
    }
    return sum;  // may be below 0: 16-bit log-probabilities do not sum to 1
}

FastReference fast_reference(std::span<const float> logits, std::span<float> p) {
    const RowKernels & k   = row_kernels();
    const float        max = k.max(logits.data(), logits.size());
    double             sum = 0, weighted = 0;
    k.exp_row(logits.data(), logits.size(), max, p.data(), &sum, &weighted);
    const auto scale = static_cast<float>(1.0 / sum);
    for (float & v : p) v *= scale;
    // p = w * scale, and the float `scale` times `sum` is the mass that the stored values have.
    const double mass = static_cast<double>(scale) * sum;
    return {mass * (weighted / sum - std::log(sum)), mass};
}

double fast_kl_divergence(const FastReference & ref, std::span<const float> p, std::span<const float> cand) {
    const RowKernels & k   = row_kernels();
    const float        max = k.max(cand.data(), cand.size());
    double             sum = 0, cross = 0;
    k.cross_row(cand.data(), p.data(), cand.size(), max, &sum, &cross);
    return ref.negative_entropy - cross + ref.mass * std::log(sum);
}

}  // namespace kvt
