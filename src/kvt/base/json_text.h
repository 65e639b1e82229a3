// JSON as text, whatever bytes its strings hold.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace kvt {

// --- Interface ---

enum class JsonChars : uint8_t { utf8, ascii };

// `indent` -1: one line. Bytes that are not UTF-8 become U+FFFD instead of an exception.
inline std::string json_text(const nlohmann::ordered_json & json, int indent = -1, JsonChars chars = JsonChars::utf8) {
    return json.dump(indent, ' ', chars == JsonChars::ascii, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace kvt
