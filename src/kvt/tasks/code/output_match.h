// Whether the output of a program is the expected one, as LiveCodeBench compares standard output.
#pragma once

#include <string_view>

namespace kvt {

// --- Interface ---

// Both texts are stripped and split into lines, each line is stripped; as many lines on both sides. Two lines match if they are
// equal, or if all their tokens are decimal numbers and equal one by one, exactly: 5.0 equals 5, NaN equals nothing
// (evaluation.md section 6.5).
bool outputs_match(std::string_view output, std::string_view expected);

// Exact comparison of two decimal numbers ("1e3", "-.5", "Infinity", "1_000"); false also where one of them is none.
bool decimals_equal(std::string_view a, std::string_view b);

}  // namespace kvt
