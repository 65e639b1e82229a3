// Scores a response to a mathematics problem: "strict" (is_equiv, the headline), "lenient" and "algebra".
#pragma once

#include <string>
#include <string_view>

#include "kvt/tasks/math/boxed.h"
#include "kvt/tasks/task.h"

namespace kvt::tasks {

// --- Interface ---

Verdict grade_math(std::string_view gold, std::string_view response, AnswerLine answer_line);

// "{problem}\n\nPlease reason step by step, and put your final answer within \boxed{}."
std::string boxed_prompt(std::string_view problem);

inline constexpr int kReasoningNewTokens = 32768;

}  // namespace kvt::tasks
