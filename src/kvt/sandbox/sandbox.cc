#include "kvt/sandbox/sandbox.h"

#include <atomic>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include <unistd.h>

#include <fmt/format.h>

#include "kvt/sandbox/self_test.h"
#include "kvt/sandbox/syscall_filter.h"

namespace kvt {

namespace {

namespace fs = std::filesystem;

constexpr const char * kPackages[][2] = {{"bwrap", "bubblewrap"}, {"prlimit", "util-linux"}, {"python3", "python3"}};

Result<std::string> find_tool(const char * const (&tool)[2], std::initializer_list<const char *> folders) {
    for (const char * folder : folders) {
        std::string path = fmt::format("{}/{}", folder, tool[0]);
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return Error{
        fmt::format("code cannot be run: {}/{} was not found; install the package {}", *folders.begin(), tool[0], tool[1])};
}

// /usr read-only, and the ways that lead into it: on most systems /bin, /lib and such are links, on others folders.
std::vector<std::string> system_arguments() {
    std::vector<std::string> out{"--ro-bind", "/usr", "/usr"};
    for (const char * name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
        const fs::path  path = fs::path("/") / name;
        std::error_code error;
        if (fs::is_symlink(path, error)) {
            out.insert(out.end(), {"--symlink", fs::read_symlink(path, error).string(), path.string()});
        } else if (fs::is_directory(path, error)) {
            out.insert(out.end(), {"--ro-bind", path.string(), path.string()});
        }
    }
    return out;
}

// The code that bwrap reports once the program was started and has ended: {"exit-code": 0}.
std::optional<int> reported_exit(const std::string & status) {
    constexpr std::string_view kKey = "\"exit-code\":";
    const size_t               at   = status.find(kKey);
    if (at == std::string::npos) return std::nullopt;
    const size_t digit = status.find_first_not_of(' ', at + kKey.size());
    int          code  = 0;
    if (digit == std::string::npos) return std::nullopt;
    const auto end = std::from_chars(status.data() + digit, status.data() + status.size(), code);
    return end.ec == std::errc() ? std::optional(code) : std::nullopt;
}

Error not_set_up(const std::string & errors) {
    std::string words = errors.substr(0, errors.find('\n'));
    return Error{
        fmt::format("code cannot be run: bwrap could not set up the sandbox ({}). It needs user namespaces for everybody: "
                    "sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0 allow them; "
                    "a container must permit them too",
                    words.empty() ? "it gave no reason" : words)};
}

// Runs beside each other share it; one that is repeated has it alone.
std::shared_mutex     turn;
std::atomic<uint64_t> begun{0}, ended{0};

}  // namespace

Result<SandboxTools> find_sandbox_tools() {
    SandboxTools tools;
    KVT_TRY(tools.bwrap, find_tool(kPackages[0], {"/usr/bin"}));
    KVT_TRY(tools.prlimit, find_tool(kPackages[1], {"/usr/bin"}));
    KVT_TRY(tools.python, find_tool(kPackages[2], {"/usr/bin", "/usr/local/bin"}));  // inside /usr, which the program sees
    return tools;
}

Result<Sandbox> Sandbox::open() {
    static std::mutex             once;
    static std::optional<Sandbox> tested;
    const std::lock_guard         lock(once);
    if (tested) return *tested;
    KVT_TRY(SandboxTools tools, find_sandbox_tools());
    Sandbox sandbox(std::move(tools));
    KVT_TRY(const auto holds, sandbox_self_test(sandbox));
    for (const SelfTestRow & row : holds) {
        if (!row.held) return Error{fmt::format("code cannot be run: the sandbox does not hold ({}: {})", row.name, row.found)};
    }
    tested = sandbox;
    return sandbox;
}

Sandbox::Sandbox(SandboxTools tools) : tools_(std::move(tools)), system_(system_arguments()) {}

std::vector<std::string> Sandbox::arguments(const SandboxProgram & program, const std::vector<int> & files, int filter,
                                            int status) const {
    std::vector<std::string> out{tools_.bwrap};
    const auto               add = [&out](std::initializer_list<std::string> more) { out.insert(out.end(), more); };
    // --- Walls ---
    add({"--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"});
    add({"--disable-userns", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox"});
    add({"--die-with-parent", "--new-session", "--seccomp", std::to_string(filter)});
    // --- What the program sees ---
    out.insert(out.end(), system_.begin(), system_.end());
    for (const char * device : {"/dev/null", "/dev/urandom"}) add({"--dev-bind", device, device});
    add({"--size", std::to_string(kSandboxTmpBytes), "--tmpfs", "/tmp"});
    for (size_t i = 0; i < files.size(); ++i)
        add({"--ro-bind-data", std::to_string(files[i]), "/program/" + program.files[i].name});
    add({"--remount-ro", "/", "--chdir", "/tmp", "--clearenv", "--setenv", "PATH", "/usr/bin"});
    add({"--json-status-fd", std::to_string(status), "--"});
    // --- Limits ---
    // Set inside, because processes are counted per user and per namespace: outside, those of the user would count too.
    const auto cpu = static_cast<int>(std::ceil(program.wall_seconds)) + 1;
    add({tools_.prlimit, fmt::format("--nproc={}", kSandboxProcesses), fmt::format("--as={}", kSandboxMemoryBytes)});
    add({fmt::format("--cpu={}", cpu), fmt::format("--nofile={}", kSandboxOpenFiles),
         fmt::format("--fsize={}", kSandboxFileBytes)});
    add({"--core=0", "--", tools_.python, "-I", "-B", "-X", "utf8", "/program/" + program.files[0].name});
    return out;
}

Result<SandboxOutcome> Sandbox::run_once(const SandboxProgram & program) const {
    KVT_TRY(const Descriptor input, memory_file(program.input));
    static const Result<std::string> rules = syscall_filter();  // the same for every program
    if (!rules.ok()) return rules.error();
    KVT_TRY(const Descriptor filter, memory_file(*rules));
    KVT_TRY(Pipe status, make_pipe());
    std::vector<Descriptor> files;
    std::vector<int>        numbers;
    for (const SandboxFile & file : program.files) {
        KVT_TRY(Descriptor memory, memory_file(file.text));
        numbers.push_back(memory.get());
        files.push_back(std::move(memory));
    }
    ChildLimits limits;
    limits.wall_seconds = program.wall_seconds;
    limits.output_bytes = program.output_bytes;
    limits.memory_bytes = program.memory_bytes;
    const auto argv     = arguments(program, numbers, filter.get(), status.write.get());
    numbers.push_back(filter.get());
    KVT_TRY(ChildOutcome child, run_child(argv, input, numbers, std::move(status), limits));

    SandboxOutcome outcome;
    outcome.end    = child.end;
    outcome.output = std::move(child.output);
    outcome.errors = std::move(child.errors);
    if (outcome.end != SandboxOutcome::End::exited) return outcome;
    const std::optional<int> code = reported_exit(child.status);
    if (!code) return not_set_up(outcome.errors);
    outcome.exit_code = *code;
    return outcome;
}

Result<SandboxOutcome> Sandbox::run(const SandboxProgram & program) const {
    bool company = false;
    {
        const std::shared_lock lock(turn);
        const uint64_t         mine = ++begun;
        company                     = mine - ended > 1;
        auto outcome                = run_once(program);
        ++ended;
        company = company || begun != mine;
        if (!outcome.ok() || outcome->end != SandboxOutcome::End::time_limit || !company) return outcome;
    }
    const std::unique_lock alone(turn);
    return run_once(program);
}

}  // namespace kvt
