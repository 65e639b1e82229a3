#include "kvt/tasks/math/prose.h"

#include <optional>
#include <vector>

#include "kvt/tasks/math/boxed.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

constexpr auto   kNone     = std::string_view::npos;
constexpr size_t kMaxBoxes = 16;

struct Piece {
    size_t           begin = 0, end = 0;
    std::string_view text;
};

bool number_char(char c) { return is_digit(c) || c == '.' || c == ',' || c == '/'; }

// Numbers not glued to a letter in front, with their sign; "1 000" is two.
std::optional<Piece> number_at(std::string_view text, size_t at) {
    size_t       end    = at + (text[at] == '-' ? 1 : 0);
    const size_t digits = end;
    while (end < text.size() && number_char(text[end])) ++end;
    while (end > digits && !is_digit(text[end - 1])) --end;
    if (end == digits || text[digits] == ',' || text[digits] == '/') return std::nullopt;
    if (at > 0 && (is_letter(text[at - 1]) || is_digit(text[at - 1]) || text[at - 1] == '_')) return std::nullopt;
    return Piece{at, end, text.substr(at, end - at)};
}

// The formula that opens at `at`, for the four ways to write one.
std::optional<Piece> formula_at(std::string_view text, size_t at) {
    constexpr std::pair<std::string_view, std::string_view> kMarks[] = {{"$$", "$$"}, {"\\[", "\\]"}, {"\\(", "\\)"}, {"$", "$"}};
    for (const auto & [open, close] : kMarks) {
        if (text.compare(at, open.size(), open) != 0) continue;
        const size_t start = at + open.size();
        size_t       end   = text.find(close, start);
        while (end != kNone && end > 0 && text[end - 1] == '\\' && close == "$") end = text.find(close, end + 1);
        if (end == kNone) return std::nullopt;
        return Piece{at, end + close.size(), text.substr(start, end - start)};
    }
    return std::nullopt;
}

// All formulas and the numbers outside of them. Each kind of opening mark that is never closed is looked for once only.
std::vector<Piece> pieces_of(std::string_view text) {
    std::vector<Piece> pieces;
    size_t             failures = 0;
    for (size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == '\\' && at + 1 < text.size() && text[at + 1] == '$') {
            at += 2;
            continue;
        }
        std::optional<Piece> piece;
        if ((c == '$' || c == '\\') && failures < 8) {
            piece = formula_at(text, at);
            if (!piece &&
                (c == '$' || text[at + 1 < text.size() ? at + 1 : at] == '[' || text[at + 1 < text.size() ? at + 1 : at] == '('))
                ++failures;
        } else if (is_digit(c) || c == '-' || c == '.') {
            piece = number_at(text, at);
        }
        if (piece && !trimmed(piece->text).empty()) {
            pieces.push_back(*piece);
            at = piece->end;
        } else {
            ++at;
        }
    }
    return pieces;
}

bool joins(std::string_view between) {
    const std::string plain = without(without(without(without(between, "\\quad"), "\\text{and}"), "\\text{ and }"), "$");
    const auto        word  = trimmed(plain);
    return word.empty() || word == "," || word == "and" || word == ", and";
}

// One piece; `forward`: and those behind it, as far as only "and", commas and spaces stand between them.
std::string joined_from(const std::vector<Piece> & pieces, std::string_view text, size_t first, bool forward) {
    std::string out(trimmed(pieces[first].text));
    for (size_t i = first + 1; forward && i < pieces.size() && i < first + kMaxBoxes; ++i) {
        const std::string_view between = text.substr(pieces[i - 1].end, pieces[i].begin - pieces[i - 1].end);
        if (!joins(between) || trimmed(between).empty()) break;
        out.append(",").append(trimmed(pieces[i].text));
    }
    return out;
}

std::optional<std::string> boxes(std::string_view text, size_t & place) {
    constexpr std::string_view kBox = "\\boxed{";
    std::string                out;
    size_t                     begin = kNone;
    for (size_t n = 0, at = text.rfind(kBox); n < kMaxBoxes && at != kNone; ++n) {
        const size_t close = matching_brace(text, at + kBox.size() - 1);
        if (close == kNone) break;
        const std::string_view inside = text.substr(at + kBox.size(), close - at - kBox.size());
        if (begin == kNone) {
            place = at;
            out   = std::string(inside);
        } else {
            if (!joins(text.substr(close + 1, begin - close - 1))) break;
            out = std::string(inside) + "," + out;
        }
        begin = at;
        at    = at == 0 ? kNone : text.rfind(kBox, at - 1);
    }
    return begin == kNone ? std::nullopt : std::optional(out);
}

// What stands behind the last `mark`, up to polite words or control tokens.
std::optional<std::string> announced(std::string_view text, const std::string & lower, std::string_view mark, size_t after,
                                     bool first) {
    const size_t at = lower.rfind(mark);
    if (at == std::string::npos || (after != kNone && at < after)) return std::nullopt;
    std::string_view rest = text.substr(at + mark.size());
    for (const std::string_view stop : {"I hope", "<|im_", "Note:"}) rest = rest.substr(0, rest.find(stop));
    const auto pieces = pieces_of(rest);
    if (pieces.empty()) return std::nullopt;
    return joined_from(pieces, rest, first ? 0 : pieces.size() - 1, first);
}

}  // namespace

std::string stated_answer(std::string_view response) {
    const std::string_view text  = without_thinking(response);
    const std::string      lower = lower_ascii(text);
    size_t                 place = kNone;
    const auto             boxed = boxes(text, place);
    if (const auto found = announced(text, lower, "final answer is", place, true)) return *found;
    if (const auto found = announced(text, lower, "final answer:", place, false)) return *found;
    if (boxed) return *boxed;
    if (const auto found = announced(text, lower, "answer is", kNone, true)) return *found;
    const auto pieces = pieces_of(text);
    if (pieces.empty()) return std::string(trimmed(text));
    // A text that is one formula or expression is taken whole: its numbers are no answers of their own.
    const bool prose = text.find('$') != kNone || text.find("\\(") != kNone || text.find("\\[") != kNone || text.size() > 100 ||
                       lower.find(" is ") != std::string::npos || lower.find(" : ") != std::string::npos ||
                       lower.find(" it's ") != std::string::npos;
    if (!prose) return std::string(trimmed(text));
    return joined_from(pieces, text, pieces.size() - 1, false);
}

}  // namespace kvt::tasks
