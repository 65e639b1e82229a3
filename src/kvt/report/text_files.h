// The report for other programs: Markdown for a page or an issue, CSV for a spreadsheet.
#pragma once

#include <string>
#include <vector>

#include "kvt/report/results.h"

namespace kvt {

// --- Interface ---

// Figures rounded as in the summary of kvtuner tune; front and uniform plans, the chosen one in bold.
std::string markdown_report(const Results & results, const std::string & tool_version);

struct NamedText {
    std::string name, text;
};

// evaluations.csv, plan.csv, held_out.csv, memory.csv, bench.csv, positions.csv, tasks.csv, changed_answers.csv, needles.csv and
// increments.csv or sensitivity.csv and attention.csv, as far as there are records for them. RFC 4180; figures at full precision,
// unknown ones empty.
std::vector<NamedText> csv_files(const Results & results);

}  // namespace kvt
