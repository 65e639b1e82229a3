// Data files of one JSON object a line, read whole and checked; every error names file, line and field.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt::tasks {

// --- Interface ---

struct JsonlFile {
    std::string                 path, sha256;
    std::vector<nlohmann::json> rows;   // objects
    std::vector<int>            lines;  // 1-based line of every row

    // Error with the place of a row in front: `"test.jsonl" line 3: what`.
    Error error(size_t row, const std::string & what) const;
    // Errors: the field is missing or not text.
    Result<std::string> text(size_t row, const char * field) const;
    // Errors: the field is missing or not a whole number.
    Result<int> integer(size_t row, const char * field) const;
    // Errors: two rows hold the same text in `field`, or it is missing or empty.
    Status check_unique(const char * field) const;
};

// Errors: missing or empty file, not UTF-8, a line that is not a JSON object. Blank lines are passed over.
Result<JsonlFile> load_jsonl(const std::string & path);

}  // namespace kvt::tasks
