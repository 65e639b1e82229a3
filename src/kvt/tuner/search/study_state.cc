#include "kvt/tuner/search/study_state.h"

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
}

std::vector<PairBits> StudyState::uniform(PairBits pair) const {
    return std::vector<PairBits>(static_cast<size_t>(study_.model.n_layer), pair);
}

Result<Study> StudyState::ended_by(const Error & error) {
    if (error.message != kTimeIsUp) return error;
    if (study_.front.empty()) return Error{kNoPlanInTime};
    return std::move(study_);
}

Result<int> StudyState::evaluate(const std::vector<PairBits> & pairs, const std::vector<int> & choice,
                                 const std::string & label) {
    const std::string key = key_of(pairs);
    if (const auto found = known_.find(key); found != known_.end()) {
        // A uniform plan met by the search first still gets its name.
        if (!label.empty()) study_.evaluations[static_cast<size_t>(found->second)].label = label;
        if (counted_.insert(key).second) progress_.done(1);
        return found->second;
    }
    if (interrupted()) return Error{"interrupted: run the same command again to go on"};
    if (time_used() >= 1.0) return Error{kTimeIsUp};
    const PrecisionPlan plan = plan_of(study_, pairs);
    KVT_TRY(const ObjectiveScore score, objective_.score(plan));
    Evaluation e;
    e.choice         = choice;
    e.label          = label;
    e.pairs          = pairs;
    e.payload_bits   = payload_bits(plan);
    e.effective_bits = plan_size(plan, static_cast<uint64_t>(study_.at_tokens)).effective_bits;
    e.kld            = score.kld;
    e.kld_ci_low     = score.ci_low;
    e.kld_ci_high    = score.ci_high;
    e.clipped        = score.clipped;
    e.seconds        = score.seconds;
    study_.evaluations.push_back(std::move(e));
    const int index = static_cast<int>(study_.evaluations.size()) - 1;
    known_[key]     = index;
    if (label == "KV16") study_.floor = score.kld;
    study_.front = pareto_front(study_.evaluations);
    KVT_CHECK_OK(save_(study_));
    counted_.insert(key);
    progress_.done(1);
    progress_.note(fmt::format("{} plans, {:.2f} bits {:.4f}", study_.evaluations.size(), at(index).effective_bits, score.kld));
    return index;
}

}  // namespace kvt
