// Scoring spread over the processes of a crew: the coordinator hands out plans one by one, workers score them as it would itself.
//
// begin_work -> every worker prepares -> "ready"; then for each plan "score" -> "scored"; end_work. A worker that is lost has its
// plan given to another, and may come back; when none is left, the coordinator scores alone. Scores depend on the plan only, so
// who scores what, and when, changes nothing. What a thousand workers cost: docs/design/0009-scale-out.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kvt/crew/crew.h"
#include "kvt/tuner/records.h"
#include "kvt/tuner/search/objective.h"

namespace kvt {

// --- Interface ---

// Coordinator: what the plans to come belong to.   settings  of its objective, so that workers can see whether theirs are the
// same
void begin_work(Crew & crew, const Study & setup, const std::string & settings);
// Coordinator: all workers may go.
void end_work(Crew & crew);

// Coordinator, between the two.
class SpreadObjective final : public Objective {
public:
    // `own` scores in this process when no worker is left. Both must outlive the objective.
    SpreadObjective(Crew & crew, Objective & own);

    Result<ObjectiveScore> score(const PrecisionPlan & plan) override;
    // Errors: also a score that a worker could not give; the message names the worker.
    Status score_all(const std::vector<PrecisionPlan> & plans, const MayBegin & may_begin, const Scored & scored) override;

private:
    struct Worker {
        enum class State : uint8_t { preparing, idle, busy, lost };
        State   state = State::preparing;
        int64_t job   = -1;  // the last one it was given
    };
    struct Batch;

    void   hand_out(Batch & batch);
    Status hear(Batch & batch, double seconds);
    void   give_up(Batch & batch, Worker & worker);
    void   give_up_silent(Batch & batch);
    bool   anyone() const;

    Crew &              crew_;
    Objective &         own_;
    std::vector<Worker> workers_;  // by rank; [0] is unused
    int64_t             next_job_ = 0;
};

// Worker: an objective for what the coordinator's work belongs to.
using PrepareWork = std::function<Result<std::unique_ptr<Objective>>(const Study & setup, const std::string & settings)>;

// Worker: scores until the coordinator says that it may go. Errors: it could not prepare, the coordinator is lost, "interrupted".
Status serve(Crew & crew, const PrepareWork & prepare);

}  // namespace kvt
