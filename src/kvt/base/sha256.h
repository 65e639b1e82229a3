// SHA-256 as 64 lower-case hex digits (OpenSSL).
#pragma once

#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

std::string         sha256_hex(std::string_view bytes);
Result<std::string> sha256_file(const std::string & path);

}  // namespace kvt
