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

class StudyState {
public:
    // Evaluations that `study` brings along are not scored again. The others must outlive the state.
    StudyState(Study study, Objective & objective, const SaveStudy & save, Progress & progress);

    Study &            study() { return study_; }
    const Evaluation & at(int index) const { return study_.evaluations[static_cast<size_t>(index)]; }

    // The evaluation of a plan, scored now if it is new.
    //   choice  of the groups, empty outside of them
    //   label   name of a uniform plan, else ""
    // Errors: the objective's, a study that cannot be saved, "interrupted".
    Result<int> evaluate(const std::vector<PairBits> & pairs, const std::vector<int> & choice, const std::string & label);

    std::vector<PairBits> uniform(PairBits pair) const;

private:
    Study                      study_;
    Objective &                objective_;
    const SaveStudy &          save_;
    Progress &                 progress_;
    std::map<std::string, int> known_;    // by pairs of all layers
    std::set<std::string>      counted_;  // by this run's progress
};

}  // namespace kvt
