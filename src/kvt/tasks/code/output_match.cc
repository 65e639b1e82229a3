#include "kvt/tasks/code/output_match.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "kvt/tasks/text.h"

namespace kvt {

namespace {

constexpr std::string_view kSpace = " \t\n\r\v\f\x1c\x1d\x1e\x1f";  // what Python's strip() takes away, within ASCII

std::string_view stripped(std::string_view text) {
    const size_t begin = text.find_first_not_of(kSpace);
    return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// Takes what stands before the next separator; false when nothing is left.
bool next_line(std::string_view & rest, bool & more, std::string_view & line) {
    if (!more) return false;
    const size_t end = rest.find('\n');
    more             = end != std::string_view::npos;
    line             = stripped(rest.substr(0, end));
    rest.remove_prefix(more ? end + 1 : rest.size());
    return true;
}

std::string_view next_token(std::string_view & rest) {
    const size_t begin = rest.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return rest = {};
    rest.remove_prefix(begin);
    const std::string_view token = rest.substr(0, rest.find_first_of(kSpace));
    rest.remove_prefix(token.size());
    return token;
}

struct Decimal {
    enum class Kind : uint8_t { finite, infinite, nan };
    Kind        kind     = Kind::finite;
    bool        negative = false;
    std::string digits{};                               // without zeros at either end; empty is 0
    int64_t     exponent                          = 0;  // of the last digit
    bool        operator==(const Decimal &) const = default;
};

std::optional<Decimal> special(std::string_view text, bool negative) {
    std::string word = tasks::lower_ascii(text);
    if (word == "inf" || word == "infinity") return Decimal{Decimal::Kind::infinite, negative};
    if (word.starts_with("snan")) word.erase(0, 1);
    if (!word.starts_with("nan") || word.find_first_not_of("0123456789", 3) != std::string::npos) return std::nullopt;
    return Decimal{Decimal::Kind::nan, negative};
}

// The grammar of Python's decimal.Decimal(), which takes underscores anywhere.
std::optional<Decimal> parse_decimal(std::string_view token) {
    std::string text;
    for (const char c : token) {
        if (c != '_') text += c;
    }
    std::string_view rest(text);
    const bool       negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);

    Decimal number{Decimal::Kind::finite, negative};
    bool    point = false, any = false;
    size_t  at = 0;
    for (; at < rest.size(); ++at) {
        const char c = rest[at];
        if (c == '.' && !point) {
            point = true;
        } else if (tasks::is_digit(c)) {
            any = true;
            number.digits += c;
            number.exponent -= point ? 1 : 0;
        } else {
            break;
        }
    }
    if (!any) return special(rest, negative);
    rest.remove_prefix(at);
    if (!rest.empty()) {
        if (rest.front() != 'e' && rest.front() != 'E') return std::nullopt;
        rest.remove_prefix(rest.size() > 1 && rest[1] == '+' ? 2 : 1);
        constexpr size_t kMaxExponentDigits = 18;  // no Decimal has more on a 64-bit machine
        int64_t          exponent           = 0;
        if (rest.size() > kMaxExponentDigits) return std::nullopt;
        const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
        if (end.ec != std::errc() || end.ptr != rest.data() + rest.size()) return std::nullopt;
        number.exponent += exponent;
    }
    const size_t last = number.digits.find_last_not_of('0');
    if (last == std::string::npos) return Decimal{};  // 0, -0.00, 0e5
    number.exponent += static_cast<int64_t>(number.digits.size() - last - 1);
    number.digits.erase(last + 1);
    number.digits.erase(0, number.digits.find_first_not_of('0'));
    return number;
}

bool lines_match(std::string_view a, std::string_view b) {
    if (a == b) return true;
    while (true) {
        const std::string_view x = next_token(a), y = next_token(b);
        if (x.empty() || y.empty()) return x.empty() && y.empty();
        if (!decimals_equal(x, y)) return false;
    }
}

}  // namespace

bool decimals_equal(std::string_view a, std::string_view b) {
    const auto x = parse_decimal(a), y = parse_decimal(b);
    return x && y && x->kind != Decimal::Kind::nan && *x == *y;
}

bool outputs_match(std::string_view output, std::string_view expected) {
    std::string_view a = stripped(output), b = stripped(expected), line_a, line_b;
    bool             more_a = true, more_b = true;
    while (true) {
        const bool has_a = next_line(a, more_a, line_a), has_b = next_line(b, more_b, line_b);
        if (!has_a || !has_b) return has_a == has_b;
        if (!lines_match(line_a, line_b)) return false;
    }
}

}  // namespace kvt
