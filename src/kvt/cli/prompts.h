// Calibration prompts from a file.
#pragma once

#include <string>
#include <vector>

#include "kvt/base/result.h"

namespace kvt::cli {

// --- Interface ---

// The first `limit` prompts (0: all). A .jsonl file gives the field "question", "prompt" or "text" of each line; any other
// file gives its paragraphs (separated by blank lines). Errors name the file and line; a file without prompts is an error.
Result<std::vector<std::string>> load_prompts(const std::string & path, int limit);

}  // namespace kvt::cli
