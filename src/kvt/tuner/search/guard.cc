#include "kvt/tuner/search/guard.h"

#include <algorithm>

#include "kvt/base/stats.h"
#include "kvt/tuner/search/allocate.h"

namespace kvt {

namespace {

bool in_fold(size_t part, size_t n_parts, size_t n_folds, size_t fold) { return part * n_folds / n_parts == fold; }

// The study as if the fold had not been measured, its losses those of the parts that are left.
Study without_fold(const Study & study, size_t n_parts, size_t n_folds, size_t fold) {
    Study left = study;
    for (Evaluation & e : left.evaluations) {
        std::vector<double> kept;
        for (size_t p = 0; p < e.clipped.size(); ++p) {
            if (!in_fold(p, n_parts, n_folds, fold)) kept.push_back(e.clipped[p]);
        }
        e.clipped = std::move(kept);
        e.kld     = mean(e.clipped);
        if (e.label == "KV16") left.floor = e.kld;
    }
    left.front = pareto_front(left.evaluations);
    return left;
}

double loss_on_fold(const Evaluation & e, size_t n_folds, size_t fold) {
    std::vector<double> parts;
    for (size_t p = 0; p < e.clipped.size(); ++p) {
        if (in_fold(p, e.clipped.size(), n_folds, fold)) parts.push_back(e.clipped[p]);
    }
    return mean(parts);
}

double same_bits_share(const std::vector<PairBits> & a, const std::vector<PairBits> & b) {
    double same = 0;
    for (size_t l = 0; l < a.size(); ++l) same += (a[l].k == b[l].k) + (a[l].v == b[l].v);
    return same / (2.0 * static_cast<double>(a.size()));
}

}  // namespace

Guard guard_choice(const Study & study, const Budget & budget, const Choice & choice) {
    Guard              guard;
    const Evaluation & chosen  = study.evaluations[static_cast<size_t>(choice.evaluation)];
    const size_t       n_parts = chosen.clipped.size();
    const bool         known   = std::all_of(study.evaluations.begin(), study.evaluations.end(),
                                             [&](const Evaluation & e) { return e.clipped.size() == n_parts; });
    if (n_parts < 2 || !known) return guard;
    const size_t        n_folds = std::min<size_t>(n_parts, kMostFolds);
    std::vector<double> optimism, same_plan, same_bits;
    const auto          whole = over_groups(study) ? std::vector<PairBits>{} : allocated_like(study, chosen.pairs);
    // The choice without a fold must be made by the same rule: limits of loss are those of what the chosen plan has, cut or not.
    Budget like = budget;
    if (!like.limits_plans() || like.max_kld) like.max_kld = mean(chosen.clipped);
    for (size_t fold = 0; fold < n_folds; ++fold) {
        const Study left  = without_fold(study, n_parts, n_folds, fold);
        const auto  other = choose_plan(left, like);
        if (other.ok()) {
            const Evaluation & plan = study.evaluations[static_cast<size_t>(other->evaluation)];
            optimism.push_back(loss_on_fold(plan, n_folds, fold) - loss_on_fold(chosen, n_folds, fold));
            same_plan.push_back(other->evaluation == choice.evaluation ? 1.0 : 0.0);
        }
        if (!whole.empty()) same_bits.push_back(same_bits_share(whole, allocated_like(left, chosen.pairs)));
    }
    if (optimism.empty()) return guard;
    guard.n_folds   = static_cast<int>(n_folds);
    guard.optimism  = mean(optimism);
    guard.same_plan = mean(same_plan);
    guard.same_bits = same_bits.empty() ? -1.0 : mean(same_bits);
    return guard;
}

}  // namespace kvt
