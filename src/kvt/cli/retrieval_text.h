// The heat map of a retrieval task for a terminal: scores by length and depth, the plans under the reference.
#pragma once

#include <string>
#include <vector>

#include "kvt/harness/record.h"

namespace kvt::cli {

// --- Interface ---

// Percent in ten steps of depth, one row for each length and run (the first is the reference), then what every other run loses.
// Cells in which the reference is below 50 stand in parentheses. Empty for tasks without depths.
std::string retrieval_text(const std::vector<TaskRecord> & records);

}  // namespace kvt::cli
