#include "kvt/tasks/math/latex.h"

#include <utility>

#include "kvt/tasks/math/boxed.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

template <size_t n>
std::string replaced_all(std::string text, const Pair (&pairs)[n]) {
    for (const auto & [from, to] : pairs) text = replaced(text, from, to);
    return text;
}

constexpr Pair kCommon[] = {
    {"\\left", ""}, {"\\right", ""}, {"\\!", ""},           {"\\,", " "},          {"\\;", " "},          {"\\:", " "},
    {"\\ ", " "},   {"~", " "},      {"\\$", ""},           {"^{\\circ}", ""},     {"^\\circ", ""},       {"\\%", ""},
    {"%", ""},      {"\n", " "},     {"\\dfrac", "\\frac"}, {"\\tfrac", "\\frac"}, {"\\cfrac", "\\frac"},
};

constexpr Pair kAlgebra[] = {
    {"\\leq", "<="},
    {"\\le ", "<= "},
    {"\\geq", ">="},
    {"\\ge ", ">= "},
    {"\\lt", "<"},
    {"\\gt", ">"},
    {"\\neq", "!="},
    {"\\ne ", "!= "},
    {"\xe2\x89\xa4", "<="},
    {"\xe2\x89\xa5", ">="},
    {"\xe2\x89\xa0", "!="},
    {"\xe2\x88\x92", "-"},
    {"\xcf\x80", "\\pi "},
    {"\xc2\xb0", ""},
    {"\xe2\x88\x9e", "\\infty "},
    {"\\cup", "\xe2\x88\xaa"},
    {"\\displaystyle", ""},
    {"\\quad", " "},
    {"\\text{and}", ","},
    {"\\text{ and }", ","},
    {"\\text{or}", ","},
    {"\\text{ or }", ","},
    {" and ", ","},
    {" or ", ","},
    {"\\boxed", ""},
    {"\\(", ""},
    {"\\)", ""},
    {"\\[", ""},
    {"\\]", ""},
    {"$", ""},
};

constexpr std::string_view kTextCommands[] = {"\\textnormal{", "\\textbf{", "\\text{", "\\mbox{", "\\mathrm{"};

// {,} and ,\! in front of three digits, then 1,234 joined: commas without spaces, every group of three digits.
std::string joined_thousands(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        if (!is_digit(text[at])) {
            out += text[at++];
            continue;
        }
        size_t end = at;
        while (end < text.size() && is_digit(text[end])) ++end;
        size_t groups = 0, last = end;
        while (last + 3 < text.size() && text[last] == ',' && is_digit(text[last + 1]) && is_digit(text[last + 2]) &&
               is_digit(text[last + 3]) && (last + 4 >= text.size() || !is_digit(text[last + 4]))) {
            last += 4;
            ++groups;
        }
        const bool after_digits = !out.empty() && (out.back() == ',' || out.back() == '.');
        const bool join         = groups > 0 && end - at <= 3 && text[at] != '0' && !after_digits &&
                          !(last + 1 < text.size() && text[last] == ',' && is_digit(text[last + 1]));
        for (const char c : text.substr(at, (join ? last : end) - at)) {
            if (c != ',') out += c;
        }
        at = join ? last : end;
    }
    return out;
}

// \text{ units } becomes " units " in lower case, for each command of the kind.
std::string opened_texts(std::string text) {
    for (const std::string_view command : kTextCommands) {
        std::string out;
        size_t      at = 0;
        for (size_t found; (found = text.find(command, at)) != std::string::npos;) {
            const size_t start = found + command.size(), close = text.find('}', start);
            if (close == std::string::npos) break;
            out.append(text, at, found - at);
            out += ' ';
            out += lower_ascii(std::string_view(text).substr(start, close - start));
            out += ' ';
            at = close + 1;
        }
        out.append(text, at);
        text = std::move(out);
    }
    return text;
}

std::string single_spaced(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (!is_space(c)) {
            out += c;
        } else if (!out.empty() && out.back() != ' ') {
            out += ' ';
        }
    }
    while (out.ends_with(' ')) out.pop_back();
    return out;
}

std::string_view without_outer_dollars(std::string_view text) {
    text = trimmed(text);
    while (text.size() >= 2 && text.front() == '$' && text.back() == '$') text = trimmed(text.substr(1, text.size() - 2));
    return text;
}

// 11,\! 111 and 14 {, }916: the spaces around a comma that says it separates thousands go.
std::string with_plain_separators(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const std::string_view rest = text.substr(at);
        size_t                 n    = 0;
        if (rest.starts_with(",\\!")) n = 3;
        if (rest.starts_with("{,}")) n = 3;
        if (rest.starts_with("{, }")) n = 4;
        if (n == 0) {
            out += text[at++];
            continue;
        }
        while (out.ends_with(' ')) out.pop_back();
        out += ',';
        at += n;
        while (at < text.size() && text[at] == ' ') ++at;
    }
    return out;
}

// Takes a trailing word (with an exponent such as ^2) off a number: "15 cm ^2" gives "15" and "cm^2".
void take_unit(AlgebraForm & form) {
    std::string_view text = form.text;
    std::string_view head = text;
    for (const std::string_view power : {"^2", "^3", "^{2}", "^{3}"}) {
        if (head.ends_with(power)) {
            head = trimmed(head.substr(0, head.size() - power.size()));
            break;
        }
    }
    size_t start = head.size();
    while (start > 0 && (is_letter(head[start - 1]) || head[start - 1] == ' ')) --start;
    const std::string_view before = trimmed(head.substr(0, start)), unit = trimmed(text.substr(start));
    const std::string_view word = trimmed(head.substr(start));
    if (before.empty() || word.empty() || head[start] != ' ') return;
    if (!is_digit(before.back()) && before.back() != '}' && before.back() != ')') return;
    if (word.size() < 2 && word.size() == unit.size()) return;  // "3 x" is a product
    if (before.find_first_not_of("0123456789.,-+/ {}()\\frac") != std::string_view::npos) return;
    form.unit = without(lower_ascii(unit), " ");
    form.text = std::string(before);
}

}  // namespace

std::string lenient_form(std::string_view answer) {
    std::string text = with_plain_separators(without_outer_dollars(answer));
    text             = opened_texts(replaced_all(std::move(text), kCommon));
    text             = single_spaced(trimmed(text));
    if (text.ends_with('.')) text.pop_back();
    return joined_thousands(text);
}

AlgebraForm algebra_form(std::string_view answer) {
    std::string text(without_outer_dollars(answer));
    if (text.find("\\begin") == std::string::npos) text = replaced(text, "\\\\", "\\");
    text = with_plain_separators(text);
    text = opened_texts(replaced_all(replaced_all(std::move(text), kAlgebra), kCommon));
    text = single_spaced(trimmed(text));
    while (text.ends_with('.') || text.ends_with(',')) text.pop_back();
    for (const std::string_view percent : {"percentage", "percent", "pct"}) {
        if (text.ends_with(percent)) text.resize(text.size() - percent.size());
    }
    AlgebraForm form{joined_thousands(trimmed(text)), ""};
    take_unit(form);
    return form;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
    std::vector<std::string> parts;
    int                      depth = 0;
    size_t                   start = 0;
    for (size_t at = 0; at <= text.size(); ++at) {
        const char c = at < text.size() ? text[at] : separator;
        if (c == '(' || c == '[' || c == '{') ++depth;
        if (c == ')' || c == ']' || c == '}') --depth;
        if (at == text.size() || (c == separator && depth == 0)) {
            parts.emplace_back(trimmed(text.substr(start, at - start)));
            start = at + 1;
        }
    }
    return parts;
}

}  // namespace kvt::tasks
