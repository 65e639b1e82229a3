#include "kvt/tasks/number_text.h"

#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

constexpr bool in_number(char c) { return is_digit(c) || c == '.' || c == ','; }
constexpr bool in_price(char c) { return in_number(c) || c == '$'; }

template <class Class>
size_t run_length(std::string_view text, size_t at, Class in_class) {
    size_t n = 0;
    while (at + n < text.size() && in_class(text[at + n])) ++n;
    return n;
}

size_t sign_length(std::string_view text, size_t at) { return at < text.size() && text[at] == '-' ? 1 : 0; }

// Length of \-?[0-9\.\,]+ at a place, 0 without a match.
size_t number_length(std::string_view text, size_t at) {
    const size_t sign = sign_length(text, at);
    const size_t n    = run_length(text, at + sign, in_number);
    return n == 0 ? 0 : sign + n;
}

// Length of (-?[$0-9.,]{2,})|(-?[0-9]+) at a place, 0 without a match.
size_t price_length(std::string_view text, size_t at) {
    const size_t sign = sign_length(text, at);
    const size_t n    = run_length(text, at + sign, in_price);
    if (n >= 2) return sign + n;
    return n == 1 && is_digit(text[at + sign]) ? sign + 1 : 0;
}

}  // namespace

Found first_marked_number(std::string_view text) {
    constexpr std::string_view kMark = "#### ";
    for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
        const size_t start = at + kMark.size();
        if (const size_t n = number_length(text, start)) return text.substr(start, n);
    }
    return std::nullopt;
}

Found last_number(std::string_view text) {
    Found last;
    for (size_t at = 0; at < text.size();) {
        const size_t n = price_length(text, at);
        if (n > 0) last = text.substr(at, n);
        at += n > 0 ? n : 1;
    }
    return last;
}

Found first_cot_number(std::string_view text) {
    constexpr std::string_view kMark = "The answer is ";
    for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
        const size_t start = at + kMark.size();
        const size_t n     = number_length(text, start);
        if (n == 0) continue;
        const size_t end = start + n;
        if (end < text.size() && text[end] != '\n') return text.substr(start, n);  // the "." of the pattern is the next character
        if (n - sign_length(text, start) >= 2) return text.substr(start, n - 1);   // or the last one of the number
    }
    return std::nullopt;
}

Found last_llama_number(std::string_view text) {
    constexpr std::string_view kMark = "The final answer is ";
    Found                      last;
    for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
        const size_t start = at + kMark.size();
        if (const size_t n = price_length(text, start)) last = text.substr(start, n);
    }
    return last;
}

std::string normalised_number(std::string_view text) {
    constexpr std::string_view kMark = "#### ";
    std::string                out   = without(without(text, ","), "$");
    if (const size_t mark = out.rfind(kMark); mark != std::string::npos) out.erase(0, mark + kMark.size());
    if (out.ends_with('.')) out.pop_back();
    return lower_ascii(out);
}

}  // namespace kvt::tasks
