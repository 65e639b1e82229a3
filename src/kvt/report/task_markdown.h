// Benchmark tasks as Markdown: scores, changed answers, needles.
#pragma once

#include <string>

#include "kvt/report/results.h"

namespace kvt {

// --- Interface ---

// Sections, each with a blank line behind it; empty without records of tasks.
std::string task_markdown(const Results & results);

}  // namespace kvt
