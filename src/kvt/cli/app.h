// The command line as a library: parses, runs one subcommand, turns errors into text and exit codes.
#pragma once

#include <string>

namespace kvt::cli {

// --- Interface ---

constexpr int kExitError     = 1;    // "kvtuner: <message>" on stderr
constexpr int kExitUsage     = 2;    // wrong options; says which, and where the help is
constexpr int kExitInterrupt = 130;  // Ctrl-C, as shells report it

// Never throws. Output that cannot be written (full disk, closed pipe) is an error too.
int run(int argc, const char * const * argv);

// "kvtuner 0.1.0 (a1b2c3d4e5f6) llama.cpp v0.5.0 isa avx512"; the ISA is the one the plugin's kernels chose here.
std::string version_line();

}  // namespace kvt::cli
