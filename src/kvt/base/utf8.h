// Whether bytes are UTF-8 (RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF), and how to make them so.
#pragma once

#include <string>
#include <string_view>

namespace kvt {

// --- Interface ---

bool is_utf8(std::string_view bytes);  // the empty text is

// Every byte that is not part of valid UTF-8, and every NUL, becomes U+FFFD.
std::string clean_utf8(std::string_view text);

// The longest beginning of UTF-8 that has at most `max_bytes` bytes and cuts no character.
std::string_view utf8_prefix(std::string_view text, size_t max_bytes);

}  // namespace kvt
