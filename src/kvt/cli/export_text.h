// What an export changed, for people.
#pragma once

#include <string>

#include "kvt/plan/plan.h"
#include "kvt/recipes/recipe.h"

namespace kvt::cli {

// --- Interface ---

// Totals, what was dropped, a table of the layers that are not stored as planned; then one line a note.
std::string loss_text(const PrecisionPlan & plan, const recipes::Loss & loss);
std::string notes_text(const std::vector<std::string> & notes);

}  // namespace kvt::cli
