// Attacks that the sandbox must stop, run before the first untrusted program.
#pragma once

#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/sandbox/sandbox.h"

namespace kvt {

// --- Interface ---

struct SelfTestRow {
    std::string name;  // "network"
    bool        held = false;
    std::string found;  // what got through; empty if it held
};

// About 2 s. Errors: those of Sandbox::run; no port to listen on, no temporary file.
Result<std::vector<SelfTestRow>> sandbox_self_test(const Sandbox & sandbox);

}  // namespace kvt
