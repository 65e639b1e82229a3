// Runs one untrusted Python program: no network, no files but its own, bounded time, memory, processes and output.
//
// bubblewrap makes the walls: new user, network, pid, ipc and uts namespaces, a read-only system (/usr and nothing of /etc,
// /home, /proc or /sys), a private /tmp, an empty environment, no capability, a filter of system calls (syscall_filter.h);
// prlimit sets the limits inside of them, and the memory of all processes
// together is looked at every 10 ms. A caller that is root becomes "nobody" first. Source: evaluation.md section 6.6.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/sandbox/child.h"

namespace kvt {

// --- Interface ---

// Of every process inside, but the last one, which is of the private /tmp.
constexpr uint64_t kSandboxMemoryBytes = uint64_t{4} << 30;  // and of all processes together
constexpr int      kSandboxProcesses   = 32;                 // threads count
constexpr int      kSandboxOpenFiles   = 64;
constexpr uint64_t kSandboxFileBytes   = uint64_t{32} << 20;
constexpr uint64_t kSandboxTmpBytes    = uint64_t{64} << 20;

struct SandboxFile {
    std::string name, text;  // seen as /program/<name>, read-only
};

struct SandboxProgram {
    std::vector<SandboxFile> files;  // the first one is run by python3 -I
    std::string              input;  // standard input
    double                   wall_seconds = 6;
    uint64_t                 output_bytes = uint64_t{64} << 20;   // of standard output and of standard error each
    uint64_t                 memory_bytes = kSandboxMemoryBytes;  // of all its processes together
};

struct SandboxOutcome {
    using End             = ChildOutcome::End;
    End         end       = End::exited;
    int         exit_code = 0;  // exited only; 128 + n after signal n
    std::string output;         // standard output, cut at the limit
    std::string errors;         // the last 4 KiB of standard error
};

// Programs that the sandbox is made of, as absolute paths.
struct SandboxTools {
    std::string bwrap, prlimit, python;
};

// bwrap and prlimit from /usr/bin, python3 from /usr/bin or /usr/local/bin. Errors: one is missing; which package has it.
Result<SandboxTools> find_sandbox_tools();

class Sandbox {
public:
    // Finds the tools and lets the self-test run (self_test.h), once per process. Errors: a tool is missing, namespaces are not
    // permitted (what to allow), a test did not hold. Nothing untrusted may run then.
    static Result<Sandbox> open();

    // Without any test: for the self-test and its own tests.
    explicit Sandbox(SandboxTools tools);

    // Every process of the program has ended when this returns. A program that runs out of time while others ran beside it is run
    // once more, alone. Safe to call from several threads.
    // Errors: the sandbox could not be set up, a process outlived it, "interrupted".
    Result<SandboxOutcome> run(const SandboxProgram & program) const;

private:
    std::vector<std::string> arguments(const SandboxProgram & program, const std::vector<int> & files, int filter,
                                       int status) const;
    Result<SandboxOutcome>   run_once(const SandboxProgram & program) const;

    SandboxTools             tools_;
    std::vector<std::string> system_;  // arguments that show /usr and what leads there
};

}  // namespace kvt
