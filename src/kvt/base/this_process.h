// What this process is called beside others, on this host and on others, and where its program lies.
#pragma once

#include <filesystem>
#include <string>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// "host:process"; empty if the host has no name.
std::string this_process();

// The folder of the running program. Errors: "/proc/self/exe: ...".
Result<std::filesystem::path> program_folder();

}  // namespace kvt
