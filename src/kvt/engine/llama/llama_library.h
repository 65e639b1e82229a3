// Which llama.cpp this process runs on: not the one it was built with, if the loader found another.
#pragma once

#include <filesystem>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// The file of libllama, links resolved. llama.cpp's programs lie beside it. Errors: the loader does not say.
Result<std::filesystem::path> llama_library();

}  // namespace kvt
