#include "kvt/tasks/code/lcb_window.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace kvt {

namespace {

struct Preset {
    const char *name, *start, *end;
    int         expected;
};

constexpr Preset kPresets[] = {{"v5", "2024-08-01", "2025-02-01", 279},
                               {"v6", "2024-08-01", "2025-05-01", 454},
                               {"jan-apr-2025", "2025-01-01", "2025-05-01", 0}};

// "2025-01" or "2025-01-31"; the day is not held against the length of the month.
bool is_date(std::string_view text) {
    if (text.size() != 7 && text.size() != 10) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 4 || i == 7;
        if (dash ? text[i] != '-' : text[i] < '0' || text[i] > '9') return false;
    }
    const auto two = [&](size_t at) { return (text[at] - '0') * 10 + text[at + 1] - '0'; };
    if (two(5) < 1 || two(5) > 12) return false;
    return text.size() == 7 || (two(8) >= 1 && two(8) <= 31);
}

}  // namespace

bool is_contest_date(std::string_view text) {
    return text.size() >= 10 && is_date(text.substr(0, 10)) && (text.size() == 10 || text[10] == 'T' || text[10] == ' ');
}

Result<LcbWindow> parse_window(std::string_view text) {
    if (text.empty()) return LcbWindow{};
    for (const Preset & p : kPresets) {
        if (text == p.name) return LcbWindow{p.name, p.start, p.end, p.expected};
    }
    const size_t dots = text.find("..");
    const Error  bad{
        fmt::format("\"{}\" is not a date window (v5, v6, jan-apr-2025, or FIRST..END such as 2025-01..2025-05; "
                      "END itself is outside)",
                     text)};
    if (dots == std::string_view::npos) return bad;
    LcbWindow window{std::string(text), std::string(text.substr(0, dots)), std::string(text.substr(dots + 2)), 0};
    if (!is_date(window.start) || !is_date(window.end) || window.start >= window.end) return bad;
    return window;
}

}  // namespace kvt
