// Whole-file reading and atomic writing. Every error names the path and the system's reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

Result<std::string> read_file(const std::string & path);

// Writes `path` whole or not at all: temporary file in the same folder, fsync, rename. Leaves nothing behind on failure.
Status write_file_atomic(const std::string & path, std::string_view bytes);

// Creates `path` and its parents; errors if it exists and is not a writable folder.
Status make_folder(const std::string & path);

bool file_exists(const std::string & path);

}  // namespace kvt
