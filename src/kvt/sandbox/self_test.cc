#include "kvt/sandbox/self_test.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "kvt/base/descriptor.h"

namespace kvt {

namespace {

using End = SandboxOutcome::End;

constexpr const char * kSecret = "the secret of the host";

// Reads what the host offers: a port it listens on, its process, the path of a file that everybody may read.
constexpr const char * kPrelude = R"(
import os, socket, sys, time
port, pid, secret = sys.stdin.read().split("\n")[:3]
def refused(action, *arguments):
    try:
        result = action(*arguments)
    except (OSError, MemoryError):
        return
    print("got through:", arguments, repr(result)[:80])
)";

struct Attack {
    const char * name;
    const char * program;  // prints nothing but what got through; "done" at its end
    End          end     = End::exited;
    double       seconds = 20;  // generous: how long an honest end may take on a busy machine
    uint64_t     memory  = kSandboxMemoryBytes;
};

constexpr Attack kAttacks[] = {
    // An honest program first: if it fails, the limits are too tight or Python is broken, and no attack proves anything.
    {"honest program", R"(
import subprocess, threading, tempfile, math, json
seen = []
thread = threading.Thread(target=lambda: seen.append(1)); thread.start(); thread.join()
with tempfile.TemporaryFile() as file: file.write(b"x" * 1000000)
if seen != [1] or subprocess.run(["/usr/bin/true"]).returncode != 0: print("cannot work")
if len(bytearray(1 << 28)) != 1 << 28: print("no memory")
)"},
    {"network", R"(
for address in (("127.0.0.1", int(port)), ("1.1.1.1", 80), ("8.8.8.8", 53)):
    refused(lambda a: socket.create_connection(a, 2), address)
refused(lambda a: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", a), ("8.8.8.8", 53))
if len(socket.if_nameindex()) > 1: print("interfaces:", socket.if_nameindex())
)"},
    {"files outside", R"(
for path in ("/x", "/usr/x", "/bin/x", "/dev/x", "/program/x", secret, os.path.dirname(secret) + "/../x", "/dev/shm/x"):
    refused(open, path, "w")
for path in (secret, "/etc/passwd", "/root", "/home", "/dev/mem", "/dev/sda", "/sys", "/run", "/var"):
    refused(os.stat, path)
refused(os.chmod, "/program/attack.py", 0o777)
refused(os.mkdir, "/mnt")
)"},
    {"symbolic link", R"(
for number, target in enumerate((secret, "/../.." + secret, "/usr/x", "/etc/passwd")):
    os.symlink(target, "/tmp/link%d" % number)
    refused(open, "/tmp/link%d" % number)
    refused(open, "/tmp/link%d" % number, "w")
refused(os.chroot, "/")
refused(os.link, "/usr/bin/env", "/tmp/hard")
)"},
    {"processes of the host", R"(
refused(os.listdir, "/proc")
if int(pid) > 2: refused(os.kill, int(pid), 0)  # 1 and 2 are processes in here too
for other in (os.getppid(), *range(3, 200)):
    if other not in (os.getpid(), 1): refused(os.kill, other, 9)
)"},
    {"privileges", R"(
import ctypes
if os.getuid() == 0 or os.geteuid() == 0: print("is root")
refused(os.setuid, 0)
libc = ctypes.CDLL(None)
if libc.unshare(0x10000000) == 0: print("made a user namespace")
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0: print("mounted")
if int(pid) > 2 and libc.ptrace(16, int(pid), None, None) == 0: print("traced the host")
)"},
    {"kernel interfaces", R"(
import ctypes
libc = ctypes.CDLL(None)
for name, arguments in (("ptrace", (0, 0, 0, 0)), ("unshare", (0,)), ("umount2", (b"/tmp", 0)), ("setns", (0, 0))):
    if getattr(libc, name)(*arguments) != -1: print(name, "was allowed")
if libc.syscall(425, 8, ctypes.create_string_buffer(256)) >= 0: print("io_uring was allowed")
)"},
    {"descriptors and environment", R"(
for number in range(3, 1024): refused(os.fstat, number)
extra = set(os.environ) - {"PATH", "PWD", "LC_CTYPE"}
if extra: print("environment:", extra)
refused(os.write, 0, b"x")
)"},
    {"memory", R"(
refused(bytearray, 10 << 30)
import resource
try: resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)); print("raised its limit")
except (ValueError, OSError): pass
)"},
    {"memory of no process", R"(
import ctypes, mmap
libc = ctypes.CDLL(None)
if libc.memfd_create(b"x", 0) >= 0: print("made a file in memory")
if libc.shmget(0, 1 << 20, 0o1600) >= 0: print("made shared memory")
refused(mmap.mmap, -1, 1 << 20)
refused(os.stat, "/dev/zero")
)"},
    // Each far below its own limit, all together above that of the program.
    {"memory of many", R"(
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(64 << 20)
        for at in range(0, len(held), 4096): held[at] = 1
        time.sleep(60); os._exit(0)
time.sleep(60)
)",
     End::memory_limit, 20, uint64_t{256} << 20},
    {"private files", R"(
if os.listdir("/tmp"): print("left from another program:", os.listdir("/tmp"))
def fill():
    for number in range(100):
        with open("/tmp/%d" % number, "wb") as file: file.write(b"x" * (8 << 20))
refused(fill)
)"},
    {"fork bomb", R"(
children = 0
try:
    while children < 1000:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        children += 1
except OSError:
    pass
if children >= 100: print("made", children, "processes")
)"},
    // The child leaves its parent's session and holds standard output: Sandbox::run reports it if it is still there.
    {"grandchild that outlives", R"(
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    os._exit(0)
os.wait()
)"},
    {"kill everything", R"(
sys.stdout.write("done\n"); sys.stdout.flush()
if os.fork() == 0:
    os.kill(-1, 9)
    os._exit(0)
time.sleep(0.2)
os._exit(0)
)"},
    {"endless output", "while True: os.write(1, b'x' * 65536)", End::output_limit},
    {"endless time", "while True: pass", End::time_limit, 0.5},
};

// What the host has that a program must not reach.
struct Host {
    Descriptor  listener;
    int         port = 0;
    std::string secret;

    Host() = default;
    Host(Host && other) noexcept : listener(std::move(other.listener)), port(other.port) { std::swap(secret, other.secret); }
    Host & operator=(Host &&) = delete;
    ~Host() {
        if (!secret.empty()) ::unlink(secret.c_str());
    }
};

Result<Host> prepare_host() {
    Host host;
    host.listener = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family      = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size          = sizeof address;
    if (!host.listener.open() || ::bind(host.listener.get(), reinterpret_cast<sockaddr *>(&address), size) != 0 ||
        ::listen(host.listener.get(), 1) != 0 ||
        ::getsockname(host.listener.get(), reinterpret_cast<sockaddr *>(&address), &size) != 0)
        return Error{fmt::format("sandbox self-test: cannot listen on 127.0.0.1: {}", std::strerror(errno))};
    host.port = ntohs(address.sin_port);

    std::string path = "/var/tmp/kvtuner-XXXXXX";  // not /tmp, which is another folder inside
    Descriptor  file(::mkstemp(path.data()));
    if (!file.open()) return Error{fmt::format("sandbox self-test: cannot create {}: {}", path, std::strerror(errno))};
    host.secret = path;
    if (::fchmod(file.get(), 0666) != 0 || ::write(file.get(), kSecret, std::strlen(kSecret)) < 0)
        return Error{fmt::format("sandbox self-test: cannot write {}: {}", path, std::strerror(errno))};
    return host;
}

std::string judge(const Attack & attack, const SandboxOutcome & outcome) {
    if (outcome.end != attack.end) {
        return outcome.end == End::time_limit     ? "it was still running at its time limit"
               : outcome.end == End::output_limit ? "it wrote without end"
               : outcome.end == End::memory_limit ? "it took too much memory"
                                                  : fmt::format("it ended by itself with code {}", outcome.exit_code);
    }
    if (attack.end != End::exited || outcome.output == "done\n") return "";
    std::string words = outcome.output.substr(0, 200);
    for (char & c : words) c = c == '\n' ? ' ' : c;
    if (!words.empty()) return words;
    const std::string & errors = outcome.errors;
    const size_t        last   = errors.empty() ? 0 : errors.rfind('\n', errors.size() - 2);
    return fmt::format("it failed with code {} {}", outcome.exit_code, errors.substr(last == std::string::npos ? 0 : last));
}

}  // namespace

Result<std::vector<SelfTestRow>> sandbox_self_test(const Sandbox & sandbox) {
    KVT_TRY(const Host host, prepare_host());
    std::vector<SelfTestRow> rows;
    for (const Attack & attack : kAttacks) {
        SandboxProgram program;
        program.files        = {{"attack.py", std::string(kPrelude) + attack.program + "\nprint('done')\n"}};
        program.input        = fmt::format("{}\n{}\n{}\n", host.port, ::getpid(), host.secret);
        program.wall_seconds = attack.seconds;
        program.output_bytes = uint64_t{1} << 20;
        program.memory_bytes = attack.memory;
        KVT_TRY(const SandboxOutcome outcome, sandbox.run(program));
        std::string found = judge(attack, outcome);
        rows.push_back({attack.name, found.empty(), std::move(found)});
    }
    return rows;
}

}  // namespace kvt
