// What the search minimizes besides bits: the problem does not know the algorithm, nor the algorithm the problem.
#pragma once

#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

struct ObjectiveScore {
    double              kld    = 0;               // nats, mean over scored tokens; lower is better
    double              ci_low = 0, ci_high = 0;  // 95 %, NaN if unknown
    std::vector<double> clipped{};                // by chunk of text, with single tokens kept from dominating; may be empty
    double              seconds = 0;              // it took; 0: unknown
};

class Objective {
public:
    virtual ~Objective() = default;
    // Scores the whole plan jointly. Must be deterministic: scores are cached by plan and reused on resume.
    virtual Result<ObjectiveScore> score(const PrecisionPlan & plan) = 0;
};

}  // namespace kvt
