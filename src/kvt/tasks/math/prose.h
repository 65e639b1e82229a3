// Finds what the algebra grade compares in a response: the last statement of a final answer, a box, formula or number.
#pragma once

#include <string>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

// A "final answer" behind the last box, else the boxes that follow each other at the end (joined with commas), else what "answer
// is" announces, else the last formula or number; nothing of these: the whole text. Linear.
std::string stated_answer(std::string_view response);

}  // namespace kvt::tasks
