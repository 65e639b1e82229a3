// How the program writes for people: colour only on a terminal, sizes and times in one spelling, JSON in one layout.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace kvt::cli {

// --- Interface ---

enum class Style : uint8_t { plain, strong, good, warning, error };

bool is_terminal(std::FILE * stream);

// Escape codes only if `stream` is a terminal, NO_COLOR is unset or empty (no-color.org), and TERM is not "dumb".
std::string styled(Style style, std::string_view text, std::FILE * stream);

// "0:07", "12:30", "1:02:03".
std::string duration_text(double seconds);

// MiB with two decimals, as llama.cpp's "KV buffer size" line has it: "12.34".
std::string mib_text(uint64_t bytes);

// Version and commit of this build, as records have it: "0.1.0 (cd9ae503e619)".
std::string tool_version();

// One JSON document on stdout, two spaces of indent, ASCII.
void print_json(const nlohmann::ordered_json & document);

}  // namespace kvt::cli
