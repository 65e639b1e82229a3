// How much of a chosen plan is luck: the search is repeated, without scoring anything, on all of its data but one part.
//
// Of many plans the best one measured is also the luckiest one. A study keeps the loss of every plan on every part of its data
// (chunks of text, items of a task), so the choice can be made without a part and held against what that part says:
//   optimism   mean over parts of (loss on the part of the plan chosen without it - loss on the part of the plan that was chosen)
// is what the chosen plan's own figure is too low by (leave one out; of losses with single tokens cut to 0.1 nats). And the
// allocation can be solved again without a part: bits that a part of the data changes were not worth much.
#pragma once

#include "kvt/tuner/search/front.h"

namespace kvt {

// --- Interface ---

inline constexpr int kMostFolds = 10;  // more parts are left out in groups

struct Guard {
    int    n_folds   = 0;  // 0: the study does not know its parts, or has only one
    double optimism  = 0;  // in the unit of the study's objective; may be below 0
    double same_plan = 0;  // share of folds without which the same plan is chosen
    double same_bits = 0;  // share of K and V with the same bits when the allocation is solved without a fold; -1: over groups
};

Guard guard_choice(const Study & study, const Budget & budget, const Choice & choice);

}  // namespace kvt
