// Log-softmax and KL divergence of rows of logits.
//
// The double path is the specification: row maximum subtracted, then exp, sum and log in double (evaluation.md 1.2). The fast
// path uses float exp and double sums and agrees with it within 1e-6 in mean KL divergence; the search uses it.
#pragma once

#include <span>

namespace kvt {

// --- Interface ---
// Rows are [n_vocab] f32 and not empty. A NaN or an infinity in a row gives a result that is not finite; callers check.

double log_sum_exp(std::span<const float> logits);  // ln of the sum of e^x

bool all_finite(std::span<const float> logits);  // no NaN, no infinity

int argmax(std::span<const float> logits);  // lowest index on a tie

// Sum over the vocabulary of p_ref * (ln p_ref - ln p_cand), nats; lse_* are log_sum_exp of the rows.
double kl_divergence(std::span<const float> ref, double lse_ref, std::span<const float> cand, double lse_cand);

// The rule of llama-perplexity for its uint16 base file: `log_p_ref` holds log-probabilities, terms at or below -16 are left out.
double kl_divergence_compat(std::span<const float> log_p_ref, std::span<const float> cand, double lse_cand);

// A value in (-1e-9, 0) is rounding and becomes 0. Anything lower is an internal error and comes back unchanged.
inline double clamp_rounding(double kld) { return kld < 0 && kld > -1e-9 ? 0 : kld; }

// Fast path: the reference row is turned once into probabilities and their negative entropy, then compared with many rows.
struct FastReference {
    double negative_entropy = 0;  // sum of p ln p
    double mass             = 0;  // sum of p as stored, 1 up to float rounding
};
FastReference fast_reference(std::span<const float> logits, std::span<float> p);
double        fast_kl_divergence(const FastReference & ref, std::span<const float> p, std::span<const float> cand);

}  // namespace kvt
