// One child process under watch: its output up to a bound, its end at a deadline, nothing of it left behind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvt/base/descriptor.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

struct ChildLimits {
    double   start_seconds = 30;  // until the child says something on its status descriptor
    double   wall_seconds  = 6;   // from then on
    uint64_t output_bytes  = 0;   // of standard output and of standard error each
    uint64_t memory_bytes  = 0;   // of the child and its descendants together
};

struct ChildOutcome {
    enum class End : uint8_t { exited, time_limit, output_limit, memory_limit };
    End         end = End::exited;
    std::string output, errors, status;  // what it wrote to descriptors 1, 2 and `status`; errors: the last 4 KiB
};

// A pipe, both ends closed on exec and above 2.
struct Pipe {
    Descriptor read, write;
};
Result<Pipe> make_pipe();

// A sealed file in memory, read position at its beginning. Errors: no memory.
Result<Descriptor> memory_file(const std::string & text);

// Runs argv[0] in a session of its own with an environment of PATH alone, as "nobody" if the caller is root, first choice of the
// kernel when memory runs out; descriptors 0 (`input`), 1, 2, `kept` and the write end of `status` are all that it gets.
// It must die with its parent and take its descendants along, as bwrap does: at a limit only itself is killed, and whoever still
// holds its output 5 s later is an error.
// Errors: fork or exec failed, no sign of life, descendants that stay, "interrupted".
Result<ChildOutcome> run_child(const std::vector<std::string> & argv, const Descriptor & input, const std::vector<int> & kept,
                               Pipe status, const ChildLimits & limits);

}  // namespace kvt
