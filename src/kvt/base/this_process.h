// What this process is called beside others, on this host and on others.
#pragma once

#include <string>

namespace kvt {

// --- Interface ---

// "host:process"; empty if the host has no name.
std::string this_process();

}  // namespace kvt
