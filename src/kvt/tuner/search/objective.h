// What the search minimizes besides bits: the problem does not know the algorithm, nor the algorithm the problem.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

struct ObjectiveScore {
    double              kld    = 0;               // or another loss against f16 (Study::objective); lower is better
    double              ci_low = 0, ci_high = 0;  // 95 %, NaN if unknown
    std::vector<double> clipped{};    // by chunk of text, with single tokens kept from dominating, or by item; may be empty
    double              seconds = 0;  // it took; 0: unknown
    std::string         worker{};     // "host:process" that scored; empty: unknown
};

class Objective {
public:
    virtual ~Objective() = default;
    // Scores the whole plan jointly. Must be deterministic: scores are cached by plan and reused on resume.
    virtual Result<ObjectiveScore> score(const PrecisionPlan & plan) = 0;

    // Asked before a plan is begun; an Error ends the batch.
    using MayBegin = std::function<Status()>;
    // The score of plan `i` of the batch.
    using Scored = std::function<Status(size_t i, const ObjectiveScore & score)>;

    // Plans whose scores the caller needs all, in any order. `scored` is called from this thread, in the order in which scores
    // arrive. Errors: of score(), `may_begin` or `scored`; after that of `may_begin`, what had been begun is scored first.
    virtual Status score_all(const std::vector<PrecisionPlan> & plans, const MayBegin & may_begin, const Scored & scored) {
        for (size_t i = 0; i < plans.size(); ++i) {
            KVT_CHECK_OK(may_begin());
            KVT_TRY(const ObjectiveScore found, score(plans[i]));
            KVT_CHECK_OK(scored(i, found));
        }
        return ok_status();
    }
};

}  // namespace kvt
