// Date windows of LiveCodeBench: problems of contests from one day to another.
#pragma once

#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// start <= contest_date < end, compared as ISO texts (evaluation.md section 6.2).
struct LcbWindow {
    std::string name     = "all", start, end;  // without an end there is no bound
    int         expected = 0;                  // problems that upstream counts in it; 0: not known

    bool holds(std::string_view date) const { return end.empty() || (start <= date && date < end); }
};

// "v5", "v6", "jan-apr-2025", "2025-01..2025-04", "2025-01-01..2025-05-01", or "" for all. Errors: anything else, an end that is
// not behind the start.
Result<LcbWindow> parse_window(std::string_view text);

// "2025-01-04" or "2025-01-04T00:00:00": whether it begins with a day of the calendar.
bool is_contest_date(std::string_view text);

}  // namespace kvt
