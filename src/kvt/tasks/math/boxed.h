// Finds the final answer in a response to a mathematics problem (evaluation.md section 3.2); linear, without recursion.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

// Whether the prompt asked for a last line "ANSWER: ...".
enum class AnswerLine : uint8_t { no, first };

struct FinalAnswer {
    std::string_view text;
    std::string_view rule;              // "answer_line", "boxed_space", "boxed", "fbox", "dollar", "whole"
    bool             unclosed = false;  // a \boxed{ or \fbox{ without its "}"
};

// Cuts the thinking, then takes the first rule that fits; "whole" always does.
FinalAnswer final_answer(std::string_view response, AnswerLine answer_line);

// The text between the braces behind the last `command` ("\boxed"); nothing if no "{" follows directly or it is never closed.
struct Braced {
    std::optional<std::string_view> text;
    bool                            found = false, unclosed = false;
};
Braced last_braced(std::string_view text, std::string_view command);

// Place of the "}" for the "{" at `open`, npos without one. Escaped braces count too, as upstream has it.
size_t matching_brace(std::string_view text, size_t open);

}  // namespace kvt::tasks
