#include "kvt/tasks/math/boxed.h"

#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

constexpr auto kNone = std::string_view::npos;

std::optional<std::string_view> last_answer_line(std::string_view text) {
    constexpr std::string_view      kMark = "ANSWER:";
    std::optional<std::string_view> last;
    for (const std::string_view line : split(text, "\n")) {
        if (line.starts_with(kMark)) last = trimmed(line.substr(kMark.size()));
    }
    return last;
}

}  // namespace

size_t matching_brace(std::string_view text, size_t open) {
    size_t depth = 0;
    for (size_t at = open; at < text.size(); ++at) {
        if (text[at] == '{') ++depth;
        if (text[at] == '}' && --depth == 0) return at;
    }
    return kNone;
}

Braced last_braced(std::string_view text, std::string_view command) {
    Braced       result;
    const size_t at = text.rfind(command);
    if (at == kNone) return result;
    result.found      = true;
    const size_t open = at + command.size();
    if (open >= text.size() || text[open] != '{') return result;
    const size_t close = matching_brace(text, open);
    if (close == kNone) {
        result.unclosed = true;
    } else {
        result.text = text.substr(open + 1, close - open - 1);
    }
    return result;
}

FinalAnswer final_answer(std::string_view response, AnswerLine answer_line) {
    const std::string_view text = without_thinking(response);
    if (answer_line == AnswerLine::first) {
        if (const auto line = last_answer_line(text)) return {*line, "answer_line"};
    }
    constexpr std::string_view kBoxedSpace = "\\boxed ";
    if (const size_t at = text.rfind(kBoxedSpace); at != kNone) {
        const std::string_view rest = text.substr(at + kBoxedSpace.size());
        return {rest.substr(0, rest.find('$')), "boxed_space"};
    }
    const Braced boxed  = last_braced(text, "\\boxed");
    const Braced braced = boxed.found ? boxed : last_braced(text, "\\fbox");
    if (braced.text) return {*braced.text, boxed.found ? "boxed" : "fbox"};

    const size_t first = text.find('$'), last = text.rfind('$');
    if (first != last) return {text.substr(first + 1, last - first - 1), "dollar", braced.unclosed};
    return {text, "whole", braced.unclosed};
}

}  // namespace kvt::tasks
