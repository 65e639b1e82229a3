#include "kvt/tasks/text.h"

namespace kvt::tasks {

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    for (char & c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0;;) {
        const size_t found = text.find(from, at);
        out += text.substr(at, found - at);
        if (found == std::string_view::npos) return out;
        out += to;
        at = found + from.size();
    }
}

std::string without(std::string_view text, std::string_view part) { return replaced(text, part, ""); }

size_t count_of(std::string_view text, std::string_view part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> parts;
    for (size_t at = 0;;) {
        const size_t found = text.find(separator, at);
        parts.push_back(text.substr(at, found - at));
        if (found == std::string_view::npos) return parts;
        at = found + separator.size();
    }
}

std::string_view without_thinking(std::string_view text) {
    constexpr std::string_view kEnd  = "</think>";
    const size_t               found = text.rfind(kEnd);
    return found == std::string_view::npos ? text : text.substr(found + kEnd.size());
}

}  // namespace kvt::tasks
