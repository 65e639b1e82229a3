// Small text helpers of tasks: bytes in, bytes out, linear time, ASCII classes only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvt::tasks {

// --- Interface ---

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_number(std::string_view text);  // one digit or more, and nothing else

std::string_view trimmed(std::string_view text);  // without ASCII white space at both ends
std::string      lower_ascii(std::string_view text);

// Every occurrence of `from` (not empty), left to right without overlap.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);
std::string without(std::string_view text, std::string_view part);
size_t      count_of(std::string_view text, std::string_view part);  // without overlap

std::vector<std::string_view> split(std::string_view text, std::string_view separator);

// What stands behind the last "</think>", or all of it.
std::string_view without_thinking(std::string_view text);

}  // namespace kvt::tasks
