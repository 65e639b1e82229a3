#include "kvt/tasks/code/code_block.h"

#include <algorithm>

#include "kvt/tasks/text.h"

namespace kvt {

namespace {

constexpr std::string_view kFence = "```";

bool is_name(char c) { return tasks::is_letter(c) || tasks::is_digit(c) || c == '_'; }

bool take(std::string_view & text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
}

}  // namespace

std::optional<std::string_view> last_code_block(std::string_view response) {
    const std::string_view text  = tasks::without_thinking(response);
    size_t                 begin = 0, end = 0;  // of the block between the last two lines with a fence
    int                    fences = 0;
    size_t                 after  = 0;  // first byte behind the last such line
    for (size_t at = text.find(kFence); at != std::string_view::npos;) {
        const size_t newline = text.rfind('\n', at);
        begin                = after;
        end                  = newline == std::string_view::npos ? 0 : newline;
        ++fences;
        const size_t next = text.find('\n', at);
        after             = next == std::string_view::npos ? text.size() : next + 1;
        at                = text.find(kFence, after);
    }
    if (fences < 2) return std::nullopt;
    return end > begin ? text.substr(begin, end - begin) : std::string_view();
}

bool defines_function(std::string_view program, std::string_view name) {
    for (size_t at = 0; at < program.size();) {
        const size_t     end  = std::min(program.find('\n', at), program.size());
        std::string_view line = program.substr(at, end - at);
        at                    = end + 1;
        take(line, "async ");
        if (take(line, "def ") && take(line, name) && (line.empty() || !is_name(line.front()))) return true;
    }
    return false;
}

}  // namespace kvt
