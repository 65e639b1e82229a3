// A study while a search runs: every plan is scored once, saved, and known from then on.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/objective.h"

namespace kvt {

// --- Interface ---

// Called after every new evaluation with the study so far (complete = false), so that it can be saved.
using SaveStudy = std::function<Status(const Study &)>;

// Share of the time allowed that has been used, 1 or more when it is over; empty: no limit.
using TimeUsed = std::function<double()>;

inline constexpr const char * kTimeIsUp     = "the time is up";
inline constexpr const char * kNoPlanInTime = "the time was up before the first plan had been scored: allow more time";

class StudyState {
public:
    // Evaluations that `study` brings along are not scored again. The others must outlive the state.
    StudyState(Study study, Objective & objective, const SaveStudy & save, Progress & progress, TimeUsed time_used = {});

    Study &            study() { return study_; }
    const Evaluation & at(int index) const { return study_.evaluations[static_cast<size_t>(index)]; }

    // The evaluation of a plan, scored now if it is new.
    //   choice  of the groups, empty outside of them
    //   label   name of a uniform plan, else ""
    // Errors: the objective's, a study that cannot be saved, "interrupted", kTimeIsUp instead of a new score.
    Result<int> evaluate(const std::vector<PairBits> & pairs, const std::vector<int> & choice, const std::string & label);

    // What a search that ended with `error` comes to: the study so far if only the time is up and a plan was scored.
    Result<Study> ended_by(const Error & error);

    double time_used() const { return time_used_ ? time_used_() : 0.0; }

    std::vector<PairBits> uniform(PairBits pair) const;

private:
    Study                      study_;
    Objective &                objective_;
    const SaveStudy &          save_;
    Progress &                 progress_;
    TimeUsed                   time_used_;
    std::map<std::string, int> known_;    // by pairs of all layers
    std::set<std::string>      counted_;  // by this run's progress
};

}  // namespace kvt
