// Whether bytes are UTF-8.
#pragma once

#include <string_view>

namespace kvt {

// --- Interface ---

// RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF. Empty text is.
bool is_utf8(std::string_view bytes);

}  // namespace kvt
