// A study as text: the frontier as a table and as a small plot for the terminal.
#pragma once

#include <string>

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// Front plans and all uniform pairs by bits, the chosen one marked, the noise floor stated; then frontier_plot().
std::string study_text(const Study & study, int chosen);

// KLD (log scale) over effective bits: '*' front, 'o' uniform pairs off the front, '.' other plans, '#' the chosen one,
// '-' the noise floor. 64 columns by 16 rows, ASCII. Plans with KLD <= 0 are drawn on the lowest row.
std::string frontier_plot(const Study & study, int chosen);

}  // namespace kvt
