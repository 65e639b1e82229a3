// JSON lines of any size, one row at a time, each with its place so that it can be read again.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

struct JsonRow {
    nlohmann::ordered_json object;
    int64_t                line   = 0;  // 1-based
    uint64_t               offset = 0;  // of its first byte
    std::string            path{};      // of its file
    std::string            where{};     // "data.jsonl line 3", for messages

    Error error(const std::string & what) const;  // `what` with the place in front
    // Errors: the field is missing or not text; names place and field.
    Result<std::string> text(const char * field) const;
    // Errors: the field is missing or not a whole number.
    Result<int> integer(const char * field) const;
};

class JsonLines {
public:
    // Errors: missing, a folder, empty.
    static Result<JsonLines> open(const std::string & path);

    // The next row, nothing at the end. Blank lines are passed over. Errors: unreadable, not UTF-8, not a JSON object.
    Result<std::optional<JsonRow>> next();

    // The row that next() found at a place.
    static Result<JsonRow> read_again(const std::string & path, uint64_t offset, int64_t line);

private:
    JsonLines(std::string path, std::ifstream in, uint64_t offset, int64_t line);

    std::string   path_;
    std::ifstream in_;
    uint64_t      offset_ = 0;
    int64_t       line_   = 0;  // of the row before
};

}  // namespace kvt
