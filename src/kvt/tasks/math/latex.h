// Brings LaTeX answers to one spelling, and cuts them at commas and relations outside of brackets; linear.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvt::tasks {

// --- Interface ---

// evaluation.md section 3.4: outer "$", spaces, one final ".", thin spaces, \left, \text{...} as lower-case content, thousands
// separators, percent and degrees. Spaces are kept singly.
std::string lenient_form(std::string_view answer);

// The same with more spellings: signs in Unicode, \dfrac, relations, \( \), doubled backslashes, \boxed, percent as a word,
// spaces in a group of digits, a unit behind a number (put into `unit`).
struct AlgebraForm {
    std::string text, unit;
};
AlgebraForm algebra_form(std::string_view answer);

// At commas outside of brackets; parts are trimmed. Brackets of different kinds match ([0,1) is one).
std::vector<std::string> split_list(std::string_view text, char separator = ',');

}  // namespace kvt::tasks
