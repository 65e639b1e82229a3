// Finds the final number in a response as lm-evaluation-harness' GSM8K filters do, with scanners instead of regular expressions.
//
// Each returns a part of `text`, nothing without a match. evaluation.md section 2.3; all are linear.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

using Found = std::optional<std::string_view>;

Found first_marked_number(std::string_view text);  // #### (\-?[0-9\.\,]+), first
Found last_number(std::string_view text);          // (-?[$0-9.,]{2,})|(-?[0-9]+), last
Found first_cot_number(std::string_view text);     // The answer is (\-?[0-9\.\,]+). first; the "." takes one character
Found last_llama_number(std::string_view text);    // The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+)), last

// Section 2.4: without "," and "$", without all up to the last "#### ", without one final ".", lower-case.
std::string normalised_number(std::string_view text);

}  // namespace kvt::tasks
