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
inline constexpr const char * kInterrupted  = "interrupted: run the same command again to go on";
inline constexpr const char * kNoPlanInTime = "the time was up before the first plan had been scored: allow more time";

// A plan that a search asks for.
struct WantedPlan {
    std::vector<PairBits> pairs;
    std::vector<int>      choice{};  // of the groups, empty outside of them
    std::string           label{};   // name of a uniform plan, else ""
};

class StudyState {
public:
    // Evaluations that `study` brings along are not scored again. The others must outlive the state.
    StudyState(Study study, Objective & objective, const SaveStudy & save, Progress & progress, TimeUsed time_used = {});

    Study &            study() { return study_; }
    const Evaluation & at(int index) const { return study_.evaluations[static_cast<size_t>(index)]; }

    // The evaluation of a plan, scored now if it is new.
    // Errors: the objective's, a study that cannot be saved, "interrupted", kTimeIsUp instead of a new score.
    Result<int> evaluate(const WantedPlan & wanted);

    // Evaluations of plans that do not depend on each other, in their order, however they come to be scored: the study grows as
    // if they had been scored one by one. No new one is begun once `until` of the time is used: with 1 that is kTimeIsUp, with
    // less those before are returned.
    Result<std::vector<int>> evaluate_all(const std::vector<WantedPlan> & wanted, double until = 1.0);

    // What a search that ended with `error` comes to: the study so far if only the time is up and a plan was scored.
    Result<Study> ended_by(const Error & error);

    double time_used() const { return time_used_ ? time_used_() : 0.0; }

    std::vector<PairBits> uniform(PairBits pair) const;

private:
    // Appends the evaluations of `wanted` to `indices` as far as their scores are there. True: the study grew.
    bool take(const std::vector<WantedPlan> & wanted, std::vector<int> & indices);
    void append(const std::string & key, Evaluation e);
    void keep_ahead(const WantedPlan & wanted, const ObjectiveScore & score);

    Study                      study_;
    Objective &                objective_;
    const SaveStudy &          save_;
    Progress &                 progress_;
    TimeUsed                   time_used_;
    std::map<std::string, int> known_;    // by pairs of all layers
    std::set<std::string>      ahead_;    // those of study_.ahead
    std::set<std::string>      counted_;  // by this run's progress
};

}  // namespace kvt
