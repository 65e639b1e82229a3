// A study as text: the frontier as a table and as a small plot for the terminal.
#pragma once

#include <string>
#include <vector>

#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

// What a table of the frontier lists, by effective bits: the front, all uniform pairs and the chosen plan.
std::vector<int> listed_evaluations(const Study & study, int chosen);
bool             on_front(const Study & study, int evaluation);

// Bits of K and of V by layer, one character each: "884f" and "4422", f for 16.
struct BitStrips {
    std::string k, v;
};
BitStrips bits_by_layer(const std::vector<PairBits> & pairs);

// A layer's row in a table of attention patterns: layer, then sparsity, sinks and recent as means over its query heads, streaming
// heads.
std::vector<std::string> pattern_cells(const LayerErrors & layer);

// What plans lose, as the title of a column: "KLD", for a task "loss"; and what they were scored on.
std::string loss_title(const Study & study);
std::string scored_on(const Study & study);

// Front plans and all uniform pairs by bits, the chosen one marked, the noise floor stated; then frontier_plot().
std::string study_text(const Study & study, int chosen);

// KLD or loss (log scale) over effective bits: '*' front, 'o' uniform pairs off the front, '.' other plans, '#' the chosen one,
// '-' the noise floor. 64 columns by 16 rows, ASCII. Plans with 0 or less are drawn on the lowest row.
std::string frontier_plot(const Study & study, int chosen);

}  // namespace kvt
