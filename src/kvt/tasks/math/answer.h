// Compares two final answers: numbers, tuples, intervals, sets, and in the algebra grade also expressions, relations and
// matrices.
#pragma once

#include <cstdint>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

// Both are conservative: what they cannot read is equal only under is_equiv. Strict true is lenient true is algebra true.
bool lenient_equal(std::string_view gold, std::string_view answer);  // evaluation.md section 3.4
bool algebra_equal(std::string_view gold, std::string_view answer);  // docs/guide/tasks.md

}  // namespace kvt::tasks
