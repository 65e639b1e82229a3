#include "kvt/cli/console.h"

#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <kvt_build_info.h>
#include <unistd.h>

#include "kvt/base/json_text.h"

namespace kvt::cli {

namespace {

bool wants_colour(std::FILE * stream) {
    if (!is_terminal(stream)) return false;
    const char * no_color = std::getenv("NO_COLOR");
    if (no_color != nullptr && *no_color != '\0') return false;
    const char * term = std::getenv("TERM");
    return term == nullptr || std::string_view(term) != "dumb";
}

const char * escape_code(Style style) {
    switch (style) {
        case Style::strong:
            return "\033[1m";
        case Style::good:
            return "\033[32m";
        case Style::warning:
            return "\033[33m";
        case Style::error:
            return "\033[31m";
        case Style::plain:
            break;
    }
    return "";
}

}  // namespace

bool is_terminal(std::FILE * stream) { return ::isatty(::fileno(stream)) != 0; }

std::string styled(Style style, std::string_view text, std::FILE * stream) {
    if (style == Style::plain || !wants_colour(stream)) return std::string(text);
    return fmt::format("{}{}\033[0m", escape_code(style), text);
}

std::string duration_text(double seconds) {
    const auto total = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
    const auto hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
    return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest) : fmt::format("{}:{:02}", minutes, rest);
}

std::string mib_text(uint64_t bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / 1024.0 / 1024.0); }

std::string tool_version() { return fmt::format("{} ({})", build_info::kVersion, build_info::kGitHash); }

void print_json(const nlohmann::ordered_json & document) { fmt::print("{}\n", json_text(document, 2, JsonChars::ascii)); }

}  // namespace kvt::cli
