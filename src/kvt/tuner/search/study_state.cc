#include "kvt/tuner/search/study_state.h"

#include <algorithm>

#include <fmt/format.h>

#include "kvt/tuner/search/front.h"

namespace kvt {

namespace {

// Pairs per layer as a text key, the identity of a plan.
std::string key_of(const std::vector<PairBits> & pairs) {
    std::string key;
    for (const PairBits & p : pairs) key += fmt::format("{}.{} ", p.k, p.v);
    return key;
}

}  // namespace

StudyState::StudyState(Study study, Objective & objective, const SaveStudy & save, Progress & progress, TimeUsed time_used)
    : study_(std::move(study)), objective_(objective), save_(save), progress_(progress), time_used_(std::move(time_used)) {
    for (size_t i = 0; i < study_.evaluations.size(); ++i) known_[key_of(study_.evaluations[i].pairs)] = static_cast<int>(i);
    for (const Evaluation & e : study_.ahead) ahead_.insert(key_of(e.pairs));
}

std::vector<PairBits> StudyState::uniform(PairBits pair) const {
    return std::vector<PairBits>(static_cast<size_t>(study_.model.n_layer), pair);
}

Result<Study> StudyState::ended_by(const Error & error) {
    if (error.message != kTimeIsUp) return error;
    if (study_.front.empty()) return Error{kNoPlanInTime};
    return std::move(study_);
}

Result<int> StudyState::evaluate(const WantedPlan & wanted) {
    KVT_TRY(const std::vector<int> indices, evaluate_all({wanted}));
    return indices.front();
}

Result<std::vector<int>> StudyState::evaluate_all(const std::vector<WantedPlan> & wanted, double until) {
    std::vector<int> indices;
    if (take(wanted, indices)) KVT_CHECK_OK(save_(study_));
    std::vector<PrecisionPlan> plans;
    std::vector<size_t>        fresh;  // which of `wanted` they are
    std::set<std::string>      listed;
    for (size_t i = indices.size(); i < wanted.size(); ++i) {
        const std::string key = key_of(wanted[i].pairs);
        if (known_.contains(key) || ahead_.contains(key) || !listed.insert(key).second) continue;
        fresh.push_back(i);
        plans.push_back(plan_of(study_, wanted[i].pairs));
    }
    if (plans.empty()) return indices;
    const auto may_begin = [&]() -> Status {
        if (interrupted()) return Error{kInterrupted};
        if (time_used() >= until) return Error{kTimeIsUp};
        return ok_status();
    };
    const Status done = objective_.score_all(plans, may_begin, [&](size_t i, const ObjectiveScore & score) -> Status {
        keep_ahead(wanted[fresh[i]], score);
        (void)take(wanted, indices);
        return save_(study_);  // also a score that came before its turn: the process may be killed while it waits
    });
    if (!done.ok() && !(until < 1.0 && done.error().message == kTimeIsUp)) return done.error();
    return indices;
}

void StudyState::keep_ahead(const WantedPlan & wanted, const ObjectiveScore & score) {
    const PrecisionPlan plan = plan_of(study_, wanted.pairs);
    Evaluation          e;
    e.pairs          = wanted.pairs;
    e.choice         = wanted.choice;
    e.label          = wanted.label;
    e.payload_bits   = payload_bits(plan);
    e.effective_bits = plan_size(plan, static_cast<uint64_t>(study_.at_tokens)).effective_bits;
    e.kld            = score.kld;
    e.kld_ci_low     = score.ci_low;
    e.kld_ci_high    = score.ci_high;
    e.clipped        = score.clipped;
    e.seconds        = score.seconds;
    e.worker         = score.worker;
    ahead_.insert(key_of(wanted.pairs));
    study_.ahead.push_back(std::move(e));
}

bool StudyState::take(const std::vector<WantedPlan> & wanted, std::vector<int> & indices) {
    const size_t before = study_.evaluations.size();
    while (indices.size() < wanted.size()) {
        const WantedPlan & next = wanted[indices.size()];
        const std::string  key  = key_of(next.pairs);
        if (!known_.contains(key)) {
            if (ahead_.erase(key) == 0) break;
            const auto scored = std::find_if(study_.ahead.begin(), study_.ahead.end(),
                                             [&](const Evaluation & e) { return e.pairs == next.pairs; });
            Evaluation e      = std::move(*scored);
            study_.ahead.erase(scored);
            e.choice = next.choice;
            e.label  = next.label;
            append(key, std::move(e));
        }
        const int index = known_[key];
        // A uniform plan met by the search first still gets its name.
        if (!next.label.empty()) study_.evaluations[static_cast<size_t>(index)].label = next.label;
        if (counted_.insert(key).second) progress_.done(1);
        indices.push_back(index);
    }
    return study_.evaluations.size() > before;
}

void StudyState::append(const std::string & key, Evaluation e) {
    if (e.label == "KV16") study_.floor = e.kld;
    progress_.note(fmt::format("{} plans, {:.2f} bits {:.4f}", study_.evaluations.size() + 1, e.effective_bits, e.kld));
    known_[key] = static_cast<int>(study_.evaluations.size());
    study_.evaluations.push_back(std::move(e));
    study_.front = pareto_front(study_.evaluations);
}

}  // namespace kvt
