// The program in a model's response.
#pragma once

#include <optional>
#include <string_view>

namespace kvt {

// --- Interface ---

// The text between the second-last and the last line that contains "```", behind the thinking; nothing with fewer than two.
std::optional<std::string_view> last_code_block(std::string_view response);

// Whether a line begins with "def <name>" or "async def <name>".
bool defines_function(std::string_view program, std::string_view name);

}  // namespace kvt
