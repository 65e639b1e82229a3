// Rows of Markdown tables, and text that stays text in them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvt::markdown {

// --- Interface ---

// Text that Markdown shows as it is: punctuation that could mean something is escaped.
std::string plain(std::string_view text);

// A table row; all cells bold if `strong`.
std::string row(const std::vector<std::string> & cells, bool strong = false);

}  // namespace kvt::markdown
