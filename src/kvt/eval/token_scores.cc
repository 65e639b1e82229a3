#include "kvt/eval/token_scores.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kvt/eval/log_softmax.h"

namespace kvt {

// --- Implementation ---

namespace {

Error not_finite(std::string_view whose, int chunk, int position) {
    return Error{fmt::format("the {} logits of chunk {} at position {} are not finite numbers", whose, chunk, position)};
}

}  // namespace

const char * kld_rule_name(KldRule rule) { return rule == KldRule::exact ? "exact" : "compat"; }

void ReferenceRows::clear() { norms_.clear(); }

std::span<float> ReferenceRows::next_row() {
    const size_t used = norms_.size() * n_vocab_;
    if (rows_.size() < used + n_vocab_) rows_.resize(used + n_vocab_);
    return std::span(rows_).subspan(used, n_vocab_);
}

Status ReferenceRows::add(int chunk, int position, std::span<const float> row) {
    const std::span<float> room = next_row();
    if (room.data() != row.data()) std::copy(row.begin(), row.end(), room.begin());
    const double log_sum = rule_ == KldRule::exact ? log_sum_exp(room) : 0.0;
    if (!all_finite(room) || !std::isfinite(log_sum)) return not_finite("reference", chunk, position);
    norms_.push_back({log_sum, argmax(room)});
    return ok_status();
}

Result<TokenScore> ReferenceRows::compare(size_t index, int chunk, int position, Token truth, std::span<const float> cand) const {
    const std::span<const float> ref     = row(index);
    const Norm &                 norm    = norms_[index];
    const auto                   t       = static_cast<size_t>(truth);
    const double                 log_sum = log_sum_exp(cand);
    TokenScore                   score;
    score.kld =
        rule_ == KldRule::exact ? kl_divergence(ref, norm.log_sum, cand, log_sum) : kl_divergence_compat(ref, cand, log_sum);
    if (!std::isfinite(log_sum) || !std::isfinite(score.kld)) return not_finite("candidate's", chunk, position);
    if (rule_ == KldRule::exact && score.kld < 0) {
        return Error{fmt::format("internal error: KL divergence {} in chunk {} at position {}", score.kld, chunk, position)};
    }
    score.nll_ref  = norm.log_sum - static_cast<double>(ref[t]);
    score.nll_cand = log_sum - static_cast<double>(cand[t]);
    score.p_ref    = std::exp(-score.nll_ref);
    score.p_cand   = std::exp(-score.nll_cand);
    score.same_top = norm.top == argmax(cand);
    return score;
}

}  // namespace kvt
