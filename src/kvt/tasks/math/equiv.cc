#include "kvt/tasks/math/equiv.h"

#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

using Text = std::optional<std::string>;  // nothing: abort

Text without_right_units(std::string text) {
    constexpr std::string_view kUnit = "\\text{ ";
    const size_t               n     = count_of(text, kUnit);
    if (n > 1) return std::nullopt;
    if (n == 1) text.erase(text.find(kUnit));
    return text;
}

std::string without_short_left_side(const std::string & text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals > 2 || text.find('=', equals + 1) != std::string::npos) return text;
    return text.substr(equals + 1);
}

Text with_braced_roots(const std::string & text) {
    const auto  parts = split(text, "\\sqrt");
    std::string out(parts[0]);
    for (size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        if (part.empty()) return std::nullopt;
        out += "\\sqrt";
        if (part[0] == '{') {
            out += part;
        } else {
            out.append("{").append(part.substr(0, 1)).append("}").append(part.substr(1));
        }
    }
    return out;
}

Text with_braced_fractions(const std::string & text) {
    const auto  parts = split(text, "\\frac");
    std::string out(parts[0]);
    for (size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        if (part.empty()) return std::nullopt;
        out += "\\frac";
        if (part[0] == '{') {
            out += part;
            continue;
        }
        if (part.size() < 2) return text;
        out.append("{").append(part.substr(0, 1)).append("}");
        if (part[1] == '{') {
            out += part.substr(1);
        } else {
            out.append("{").append(part.substr(1, 1)).append("}").append(part.substr(2));
        }
    }
    return out;
}

// What Python's int() reads, spaces apart (they are gone): a sign, digits, single underscores between digits.
bool is_python_integer(std::string_view text) {
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    bool digit_before = false;
    for (const char c : text) {
        if (!is_digit(c) && !(c == '_' && digit_before)) return false;
        digit_before = is_digit(c);
    }
    return digit_before;
}

bool is_plain_integer(std::string_view text) {
    if (text == "0") return true;
    if (text.starts_with('-')) text.remove_prefix(1);
    return is_number(text) && text[0] != '0';
}

Text with_fraction_for_slash(const std::string & text) {
    const auto parts = split(text, "/");
    if (parts.size() != 2) return text;
    if (!is_python_integer(parts[0]) || !is_python_integer(parts[1])) return std::nullopt;
    if (!is_plain_integer(parts[0]) || !is_plain_integer(parts[1])) return text;
    return "\\frac{" + std::string(parts[0]) + "}{" + std::string(parts[1]) + "}";
}

}  // namespace

std::optional<std::string> hendrycks_strip(std::string_view answer) {
    std::string text = without(answer, "\n");
    text             = without(text, "\\!");
    text             = replaced(text, "\\\\", "\\");
    text             = replaced(replaced(text, "tfrac", "frac"), "dfrac", "frac");
    text             = without(without(text, "\\left"), "\\right");
    text             = without(without(text, "^{\\circ}"), "^\\circ");
    text             = without(text, "\\$");
    Text kept        = without_right_units(std::move(text));
    if (!kept) return std::nullopt;
    text = without(*kept, "\\%");
    text = replaced(replaced(text, " .", " 0."), "{.", "{0.");
    if (text.empty()) return text;
    if (text[0] == '.') text.insert(0, "0");
    text = without_short_left_side(text);
    if (!(kept = with_braced_roots(text))) return std::nullopt;
    text = without(*kept, " ");
    if (!(kept = with_braced_fractions(text))) return std::nullopt;
    text = *kept == "0.5" ? "\\frac{1}{2}" : *kept;
    return with_fraction_for_slash(text);
}

bool is_equiv(std::optional<std::string_view> a, std::optional<std::string_view> b) {
    if (!a || !b) return false;
    const auto left  = hendrycks_strip(*a);
    const auto right = left ? hendrycks_strip(*b) : std::nullopt;
    return left && right ? *left == *right : *a == *b;
}

}  // namespace kvt::tasks
