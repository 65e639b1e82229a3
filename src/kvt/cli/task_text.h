// Benchmark runs and their comparisons as text for people.
#pragma once

#include <string>
#include <vector>

#include "kvt/harness/compare.h"
#include "kvt/harness/record.h"

namespace kvt::cli {

// --- Interface ---

// A table with one run a row; the settings and warnings under it; ends with a newline.
std::string runs_text(const std::vector<TaskRecord> & records);

// Differences, tests, the statement of equivalence within `margin` (0.01: one point), and the items whose verdict changed.
std::string comparison_text(const RunComparison & comparison, double margin);

}  // namespace kvt::cli
