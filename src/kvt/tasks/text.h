// Small text helpers of tasks: bytes in, bytes out, linear time, ASCII classes only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvt::tasks {

// --- Interface ---

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view trimmed(std::string_view text);  // without ASCII white space at both ends
std::string      lower_ascii(std::string_view text);

// Every occurrence of `from` (not empty), left to right without overlap.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);
std::string without(std::string_view text, std::string_view part);
size_t      count_of(std::string_view text, std::string_view part);  // without overlap

std::vector<std::string_view> split(std::string_view text, std::string_view separator);

// Every byte that is not part of valid UTF-8, and every NUL, becomes U+FFFD.
std::string clean_utf8(std::string_view text);

// What stands behind the last "</think>", or all of it.
std::string_view without_thinking(std::string_view text);

uint64_t fnv1a64(std::string_view text);
uint64_t splitmix64_finaliser(uint64_t value);  // the mixing of SplitMix64 without its step

}  // namespace kvt::tasks
