#include "kvt/tasks/math/answer.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "kvt/tasks/math/equiv.h"
#include "kvt/tasks/math/evaluate.h"
#include "kvt/tasks/math/latex.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

using Parts = std::vector<std::string>;

constexpr size_t kMaxBytes = 2000;  // longer texts are no answers
constexpr size_t kMaxParts = 64;

enum class Grade : uint8_t { lenient, algebra };

// Without spaces, and with _8 for the subscript _{8}.
std::string squeezed(std::string_view text) {
    const std::string spaceless = without(text, " ");
    std::string       out;
    for (size_t at = 0; at < spaceless.size(); ++at) {
        const bool open = spaceless.compare(at, 2, "_{") == 0;
        size_t     end  = at + 2;
        while (open && end < spaceless.size() && is_digit(spaceless[end])) ++end;
        if (open && end > at + 2 && end < spaceless.size() && spaceless[end] == '}') {
            out.append("_").append(spaceless, at + 2, end - at - 2);
            at = end;
        } else {
            out += spaceless[at];
        }
    }
    return out;
}

// --- One value ---

bool values_equal(const std::string & a, const std::string & b, Grade grade) {
    if (!a.empty() && squeezed(a) == squeezed(b)) return true;
    const auto x = parse_expression(a), y = parse_expression(b);
    if (!x || !y) return false;
    const auto plain = [](const Expression & e) { return !e.variable && !e.sum && !e.product && !e.power; };
    if (grade == Grade::lenient && (!plain(*x) || !plain(*y))) return false;
    return expressions_equal(*x, *y);
}

// --- Lists ---

struct Group {
    char  open = 0, close = 0;  // 0: a list without brackets; '{': a set
    Parts parts;
};

// The parts of (a,b], \{a,b\} or a bare list; one part for a value.
Group group_of(std::string_view text) {
    Group group;
    if (text.starts_with("\\{") && text.ends_with("\\}")) {
        group.open = group.close = '{';
        group.parts              = split_list(text.substr(2, text.size() - 4));
        return group;
    }
    const bool brackets =
        text.size() >= 2 && (text.front() == '(' || text.front() == '[') && (text.back() == ')' || text.back() == ']');
    if (brackets) {
        int    depth = 0;
        size_t end   = 0;
        for (; end < text.size(); ++end) {
            if (text[end] == '(' || text[end] == '[') ++depth;
            if ((text[end] == ')' || text[end] == ']') && --depth == 0) break;
        }
        Parts parts = split_list(text.substr(1, text.size() - 2));
        if (end + 1 == text.size() && parts.size() > 1) return {text.front(), text.back(), std::move(parts)};
    }
    group.parts = split_list(text);
    return group;
}

// a \pm b becomes two parts. False: more than one \pm in a part.
bool expand_signs(Parts & parts) {
    Parts out;
    for (const std::string & part : parts) {
        const size_t n = count_of(part, "\\pm");
        if (n > 1) return false;
        if (n == 0) {
            out.push_back(part);
        } else {
            out.push_back(replaced(part, "\\pm", "+"));
            out.push_back(replaced(part, "\\pm", "-"));
        }
    }
    parts = std::move(out);
    return parts.size() <= kMaxParts;
}

bool equal_in_order(const Parts & a, const Parts & b, Grade grade) {
    if (a.size() != b.size() || a.size() > kMaxParts) return false;
    for (size_t i = 0; i < a.size(); ++i) {
        if (!values_equal(a[i], b[i], grade)) return false;
    }
    return true;
}

// As tuples of the same brackets if both are, else as values.
bool parts_equal(const std::string & a, const std::string & b, Grade grade) {
    const Group x = group_of(a), y = group_of(b);
    if (x.open != 0 && x.open != '{') return x.open == y.open && x.close == y.close && equal_in_order(x.parts, y.parts, grade);
    return values_equal(a, b, grade);
}

// Whether every part of `a` has one of its own in `b`.
template <class Equal>
bool matched(const Parts & a, const Parts & b, Equal equal) {
    if (a.size() != b.size() || a.size() > kMaxParts) return false;
    std::vector<bool> taken(b.size());
    for (const std::string & part : a) {
        size_t i = 0;
        while (i < b.size() && (taken[i] || !equal(part, b[i]))) ++i;
        if (i == b.size()) return false;
        taken[i] = true;
    }
    return true;
}

bool equal_as_sets(const Parts & a, const Parts & b, Grade grade) {
    return matched(a, b, [grade](const std::string & x, const std::string & y) { return parts_equal(x, y, grade); });
}

bool groups_equal(const std::string & gold, const std::string & answer, Grade grade) {
    Group      a = group_of(gold), b = group_of(answer);
    const bool signs = gold.find("\\pm") != std::string::npos;
    const bool set   = a.open == '{' || (a.open == 0 && (a.parts.size() > 1 || signs));
    if (set) {
        if (b.open != 0 && b.open != '{') return false;
        return expand_signs(a.parts) && expand_signs(b.parts) && equal_as_sets(a.parts, b.parts, grade);
    }
    if (a.open == 0) return b.open == 0 && b.parts.size() == 1 && values_equal(gold, answer, grade);
    const bool bare = grade == Grade::algebra && b.open == 0 && a.open == '(' && a.close == ')' && b.parts.size() > 1;
    return (bare || (a.open == b.open && a.close == b.close)) && equal_in_order(a.parts, b.parts, grade);
}

// Drops "k=" with a key of one or two characters on one side only.
void drop_lone_key(std::string & a, std::string & b) {
    const auto key = [](const std::string & text) {
        const size_t at = text.find('=');
        return at != std::string::npos && at > 0 && trimmed(text.substr(0, at)).size() <= 2 &&
               text.find('=', at + 1) == std::string::npos;
    };
    if (key(a) == key(b)) return;
    std::string & with = key(a) ? a : b;
    with               = std::string(trimmed(with.substr(with.find('=') + 1)));
}

// --- Algebra: relations, unions, matrices ---

struct Chain {
    Parts sides, signs;  // signs between sides: = < > <= >= !=
};

Chain chain_of(std::string_view text) {
    Chain  chain;
    size_t start = 0;
    for (size_t at = 0; at < text.size();) {
        size_t n = 0;
        if (text[at] == '<' || text[at] == '>' || text[at] == '!') n = at + 1 < text.size() && text[at + 1] == '=' ? 2 : 1;
        if (text[at] == '=') n = 1;
        if (text[at] == '!' && n == 1) n = 0;
        if (n == 0) {
            ++at;
            continue;
        }
        chain.sides.emplace_back(trimmed(text.substr(start, at - start)));
        chain.signs.emplace_back(text.substr(at, n));
        start = at += n;
    }
    chain.sides.emplace_back(trimmed(text.substr(start)));
    return chain;
}

bool is_symbol(std::string_view text) {
    const auto e = parse_expression(text);
    return e && e->ops.size() == 1 && e->variable;
}

bool is_constant(std::string_view text) {
    const auto e = parse_expression(text);
    return e && !e->variable;
}

// x = 5+6 = 11, 1/2 = 10/9, x = 1/3 \approx 0.3: the last exact value; other texts as they are.
std::string value_of_chain(std::string text) {
    if (const size_t approx = text.find("\\approx"); approx != std::string::npos) {
        const std::string before(trimmed(text.substr(0, approx)));
        text = before.find('=') != std::string::npos ? before : before + "=" + text.substr(text.rfind("\\approx") + 7);
    }
    const Chain chain = chain_of(text);
    for (const std::string & sign : chain.signs) {
        if (sign != "=") return text;
    }
    if (chain.signs.empty()) return text;
    const bool value = chain.sides.size() > 2 || is_symbol(chain.sides[0]) || is_constant(chain.sides[0]);
    return value ? chain.sides.back() : text;
}

std::string flipped(const std::string & sign) {
    if (sign[0] == '<') return ">" + sign.substr(1);
    return sign[0] == '>' ? "<" + sign.substr(1) : sign;
}

bool relations_equal(const Chain & a, const Chain & b) {
    if (a.signs.size() != 1 || b.signs.size() != 1) return false;
    const auto x = parse_expression("(" + a.sides[0] + ")-(" + a.sides[1] + ")");
    const auto y = parse_expression("(" + b.sides[0] + ")-(" + b.sides[1] + ")");
    if (!x || !y) return false;
    const int  sign      = proportion_sign(*x, *y);
    const bool symmetric = a.signs[0] == "=" || a.signs[0] == "!=";
    return sign != 0 && a.signs[0] == (sign > 0 || symmetric ? b.signs[0] : flipped(b.signs[0]));
}

// a <= x < b as [a,b); nothing for other relations.
std::optional<std::string> interval_of(const Chain & chain) {
    if (chain.signs.size() != 2 || !is_symbol(chain.sides[1])) return std::nullopt;
    if (chain.signs[0][0] != '<' || chain.signs[1][0] != '<') return std::nullopt;
    return (chain.signs[0] == "<=" ? "[" : "(") + chain.sides[0] + "," + chain.sides[2] + (chain.signs[1] == "<=" ? "]" : ")");
}

std::string without_membership(const std::string & text) {
    const size_t at = text.find("\\in");
    if (at == std::string::npos || text.compare(at, 4, "\\inf") == 0 || !is_symbol(text.substr(0, at))) return text;
    return std::string(trimmed(text.substr(at + 3)));
}

// Rows of a matrix that is the whole text; nothing otherwise. Determinants (vmatrix) are values, not matrices.
std::optional<std::vector<Parts>> matrix_of(std::string_view text) {
    if (text.starts_with("(") && text.ends_with(")")) text = trimmed(text.substr(1, text.size() - 2));
    for (const std::string_view kind : {"pmatrix", "bmatrix", "matrix", "array"}) {
        const std::string open = "\\begin{" + std::string(kind) + "}", close = "\\end{" + std::string(kind) + "}";
        if (text.starts_with("[" + open) && text.ends_with(close + "]")) text = text.substr(1, text.size() - 2);
        if (!text.starts_with(open) || !text.ends_with(close) || text.size() < open.size() + close.size()) continue;
        std::string_view inside = text.substr(open.size(), text.size() - open.size() - close.size());
        if (kind == "array") {
            const size_t end = inside.find('}');
            if (!inside.starts_with("{") || end == std::string_view::npos) return std::nullopt;
            inside = inside.substr(end + 1);
        }
        if (inside.find("\\begin") != std::string_view::npos) return std::nullopt;
        std::vector<Parts> rows;
        for (const std::string_view row : split(inside, "\\\\")) {
            if (!trimmed(row).empty()) rows.push_back(split_list(row, '&'));
        }
        return rows;
    }
    return std::nullopt;
}

bool matrices_equal(const std::vector<Parts> & a, const std::vector<Parts> & b) {
    if (a.size() != b.size() || a.empty() || a.size() > kMaxParts) return false;
    for (size_t row = 0; row < a.size(); ++row) {
        if (!equal_in_order(a[row], b[row], Grade::algebra)) return false;
    }
    return true;
}

// 1000,99 and 1000.99: a comma before two or more decimals, or behind a leading zero, against the same digits with a point.
bool decimal_comma_equal(const std::string & a, const std::string & b) {
    const size_t comma = a.find(',');
    if (comma == std::string::npos || comma == 0 || a.size() - comma <= 2 || b.find('.') != comma) return false;
    if (a.find_first_not_of("0123456789,") != std::string::npos || a.find(',', comma + 1) != std::string::npos) return false;
    return replaced(a, ",", ".") == b;
}

// 1 000 000: groups of three digits behind one to three.
std::string joined_spaces(const std::string & text) {
    const auto groups = split(text, " ");
    if (groups.size() < 2 || groups[0].empty() || groups[0].size() > 3) return text;
    for (size_t i = 0; i < groups.size(); ++i) {
        if ((i > 0 && groups[i].size() != 3) || !is_number(groups[i])) return text;
    }
    return without(text, " ");
}

// (C) and c: one letter of a choice.
std::optional<char> choice_of(std::string text) {
    text = without(text, " ");
    if (text.size() == 3 && text[0] == '(' && text[2] == ')') text = text.substr(1, 1);
    if (text.size() != 1 || !is_letter(text[0])) return std::nullopt;
    const char c = lower_ascii(text)[0];
    return c >= 'a' && c <= 'f' ? std::optional(c) : std::nullopt;
}

bool unions_equal(const std::string & a, const std::string & b) {
    constexpr std::string_view kCup = "\xe2\x88\xaa";
    Parts                      x, y;
    for (const std::string_view part : split(a, kCup)) x.emplace_back(trimmed(part));
    for (const std::string_view part : split(b, kCup)) y.emplace_back(trimmed(part));
    return x.size() > 1 &&
           matched(x, y, [](const std::string & p, const std::string & q) { return groups_equal(p, q, Grade::algebra); });
}

bool forms_equal(std::string a, std::string b) {
    a            = joined_spaces(without_membership(a));
    b            = joined_spaces(without_membership(b));
    const auto m = matrix_of(a), n = matrix_of(b);
    if (m || n) return m && n && matrices_equal(*m, *n);
    if (const auto x = choice_of(a)) {
        if (choice_of(b) == x) return true;
    }
    if (decimal_comma_equal(a, b) || decimal_comma_equal(b, a) || unions_equal(a, b)) return true;
    if (relations_equal(chain_of(a), chain_of(b))) return true;
    a             = value_of_chain(a);
    b             = value_of_chain(b);
    const Chain x = chain_of(a), y = chain_of(b);
    if (!x.signs.empty() && !y.signs.empty()) return relations_equal(x, y);
    if (!x.signs.empty()) {  // only a gold relation is met by an interval: the other way the variable's range is not given
        const auto interval = interval_of(x);
        return interval && groups_equal(*interval, b, Grade::algebra);
    }
    return y.signs.empty() && groups_equal(a, b, Grade::algebra);
}

}  // namespace

bool lenient_equal(std::string_view gold, std::string_view answer) {
    if (is_equiv(gold, answer)) return true;
    if (gold.size() > kMaxBytes || answer.size() > kMaxBytes) return false;
    std::string a = lenient_form(gold), b = lenient_form(answer);
    if (a.empty() || b.empty()) return false;
    if (squeezed(a) == squeezed(b)) return true;
    drop_lone_key(a, b);
    return groups_equal(a, b, Grade::lenient);
}

bool algebra_equal(std::string_view gold, std::string_view answer) {
    if (lenient_equal(gold, answer)) return true;
    if (gold.size() > kMaxBytes || answer.size() > kMaxBytes) return false;
    const AlgebraForm a = algebra_form(gold), b = algebra_form(answer);
    if (a.text.empty() || b.text.empty()) return false;
    if (!a.unit.empty() && !b.unit.empty() && a.unit != b.unit) return false;
    return forms_equal(a.text, b.text);
}

}  // namespace kvt::tasks
