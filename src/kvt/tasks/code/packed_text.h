// One text packed as LiveCodeBench packs its private tests: base64 of zlib of a Python pickle of one string.
//
// The pickle is not interpreted: the few byte sequences that Python writes for one string are accepted and nothing else, so a
// hostile file can do nothing (evaluation.md section 6.3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

constexpr uint64_t kMaxUnpackedBytes = uint64_t{1} << 30;

// Errors: not base64, not zlib (cut short, bytes behind its end), more than `max_bytes` inflated, a pickle of anything else.
Result<std::string> unpack_text(std::string_view packed, uint64_t max_bytes = kMaxUnpackedBytes);

// The steps.
Result<std::string>      decode_base64(std::string_view text);
Result<std::string>      inflate_zlib(std::string_view bytes, uint64_t max_bytes);
Result<std::string_view> pickled_string(std::string_view bytes);  // a part of `bytes`

}  // namespace kvt
