// Data files of one JSON object a line, read whole and checked; every error names file, line and field.
#pragma once

#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/tasks/json_lines.h"

namespace kvt::tasks {

// --- Interface ---

struct JsonlFile {
    std::string          path, sha256;
    std::vector<JsonRow> rows;

    // Errors: two rows hold the same text in `field`, or it is missing or empty.
    Status check_unique(const char * field) const;
};

// Errors: missing or empty file, not UTF-8, a line that is not a JSON object. Blank lines are passed over.
Result<JsonlFile> load_jsonl(const std::string & path);

}  // namespace kvt::tasks
