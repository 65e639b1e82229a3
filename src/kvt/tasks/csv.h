// RFC 4180 text with quoted fields; errors name the row and never quote a field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt::tasks {

// --- Interface ---

// Rows of fields; a byte order mark and the line end of the last row are left out. Rows are counted from 1, the header being
// row 1. Errors: an unclosed quote, text behind a closing quote.
Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text);

}  // namespace kvt::tasks
