#include "kvt/sandbox/child.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/progress.h"
#include "kvt/base/stopwatch.h"
#include "kvt/sandbox/tree_memory.h"

namespace kvt {

namespace {

constexpr int      kLowestDescriptor = 10;     // ours lie above 0-2, which the child fills first
constexpr unsigned kNobody           = 65534;  // uid and gid of "nobody" in Linux
constexpr int      kCannotExec       = 127;
constexpr size_t   kKeptErrors       = 4096;
constexpr int      kTickMs           = 10;  // how late an interrupt or a lack of memory may be seen; a look costs some 0.1 ms
constexpr double   kDrainSeconds     = 5;

Error failed(const char * what) { return Error{fmt::format("sandbox: {} failed: {}", what, std::strerror(errno))}; }

// Descriptors as exec will leave them; everything that the child needs is prepared before the fork, since between fork and exec
// only async-signal-safe calls are allowed in a process with threads.
struct Launch {
    std::vector<char *> argv;
    std::vector<int>    kept;
    int                 input = -1, output = -1, errors = -1;
};

[[noreturn]] void become(const Launch & launch) {
    static char   path[]        = "PATH=/usr/bin:/bin";
    char * const  environment[] = {path, nullptr};
    constexpr int kFirst        = 3;
    bool          fine          = ::setsid() >= 0 && ::chdir("/") == 0;
    fine = fine && ::dup2(launch.input, 0) == 0 && ::dup2(launch.output, 1) == 1 && ::dup2(launch.errors, 2) == 2;
    fine = fine && ::syscall(SYS_close_range, kFirst, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
    for (const int fd : launch.kept) fine = fine && ::fcntl(fd, F_SETFD, 0) == 0;

    // Raising one's own score is always allowed; where there is no /proc, the kernel chooses by itself.
    const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0 && ::write(score, "1000", 4) != 4) fine = false;

    // The bare system calls: glibc's wrappers want to tell threads, which do not exist here.
    if (fine && ::geteuid() == 0) {
        fine = ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0 &&
               ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0;
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    if (fine) ::execve(launch.argv[0], launch.argv.data(), environment);
    const char * why = std::strerror(errno);
    (void)!::write(2, why, std::strlen(why));
    ::_exit(kCannotExec);
}

// Reaps the child on every way out.
class Reaper {
public:
    explicit Reaper(pid_t pid) : pid_(pid) {}
    ~Reaper() {
        kill();
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    Reaper(const Reaper &)             = delete;
    Reaper & operator=(const Reaper &) = delete;
    void     kill() const { ::kill(pid_, SIGKILL); }
    pid_t    pid() const { return pid_; }

private:
    pid_t pid_;
};

// One stream being read.
struct Source {
    Descriptor    fd;
    std::string * text = nullptr;
    uint64_t      seen = 0;

    // Whatever is there now; false at its end.
    bool take(uint64_t limit, bool keep_tail) {
        char          buffer[64 * 1024];
        const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
        if (n < 0) return errno == EINTR || errno == EAGAIN;
        if (n == 0) return false;
        const auto got = static_cast<size_t>(n);
        seen += got;
        if (keep_tail) {
            text->append(buffer, got);
            if (text->size() > kKeptErrors) text->erase(0, text->size() - kKeptErrors);
        } else if (text->size() < limit) {
            text->append(buffer, std::min<uint64_t>(got, limit - text->size()));
        }
        return true;
    }
};

class Watch {
public:
    Watch(const Reaper & child, const ChildLimits & limits, Pipe & output, Pipe & errors, Pipe & status)
        : child_(child), limits_(limits) {
        sources_[0] = {std::move(status.read), &outcome_.status};
        sources_[1] = {std::move(output.read), &outcome_.output};
        sources_[2] = {std::move(errors.read), &outcome_.errors};
    }

    Result<ChildOutcome> until_end() {
        deadline_ = seconds_now() + limits_.start_seconds;
        while (true) {
            if (interrupted()) return Error{"interrupted while a program ran in the sandbox"};
            if (!any_open()) return std::move(outcome_);
            if (seconds_now() > deadline_) {
                if (stopped_) return Error{"sandbox: a process of the program is still there after its end"};
                if (!started_) return Error{fmt::format("sandbox: bwrap did not start within {} s", limits_.start_seconds)};
                stop(ChildOutcome::End::time_limit);
            }
            if (!stopped_ && started_) look_at_memory();
            wait();
        }
    }

private:
    bool any_open() const {
        return std::any_of(std::begin(sources_), std::end(sources_), [](const Source & s) { return s.fd.open(); });
    }

    void look_at_memory() {
        if (seconds_now() < next_look_) return;
        if (tree_holds_more(child_.pid(), limits_.memory_bytes)) stop(ChildOutcome::End::memory_limit);
        next_look_ = seconds_now() + kTickMs / 1000.0;
    }

    void stop(ChildOutcome::End end) {
        outcome_.end = end;
        child_.kill();
        drain();
    }

    // From here on the streams must reach their ends.
    void drain() {
        if (stopped_) return;
        stopped_  = true;
        deadline_ = seconds_now() + kDrainSeconds;
    }

    void wait() {
        pollfd fds[3];
        for (int i = 0; i < 3; ++i) fds[i] = {sources_[i].fd.get(), POLLIN, 0};  // poll() skips -1
        const double left = std::max(0.0, deadline_ - seconds_now());
        if (::poll(fds, 3, std::min(kTickMs, static_cast<int>(left * 1000) + 1)) <= 0) return;
        for (int i = 0; i < 3; ++i) {
            if (fds[i].revents != 0 && !sources_[i].take(limits_.output_bytes, i == 2)) ended(i);
        }
        if (!started_ && !outcome_.status.empty()) {
            started_  = true;
            deadline_ = seconds_now() + limits_.wall_seconds;
        }
        for (int i = 1; i < 3; ++i) {
            if (!stopped_ && sources_[i].seen > limits_.output_bytes) stop(ChildOutcome::End::output_limit);
        }
    }

    void ended(int i) {
        sources_[i].fd.close_now();
        if (i == 0) drain();  // the child holds its end of `status` until it is gone
    }

    const Reaper &      child_;
    const ChildLimits & limits_;
    ChildOutcome        outcome_;
    Source              sources_[3];
    double              deadline_ = 0, next_look_ = 0;
    bool                started_ = false, stopped_ = false;
};

Descriptor above_standard(int fd) {
    Descriptor low(fd);
    return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, kLowestDescriptor));
}

}  // namespace

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return failed("pipe");
    Pipe pipe{above_standard(ends[0]), above_standard(ends[1])};
    if (!pipe.read.open() || !pipe.write.open()) return failed("dup");
    return pipe;
}

Result<Descriptor> memory_file(const std::string & text) {
    const int fd = ::memfd_create("kvtuner", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return failed("memfd_create");
    Descriptor file = above_standard(fd);
    if (!file.open()) return failed("dup");
    if (const int error = write_all(file.get(), text)) {
        errno = error;
        return failed("writing a memory file");
    }
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return failed("lseek");
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) return failed("sealing");
    return file;
}

Result<ChildOutcome> run_child(const std::vector<std::string> & argv, const Descriptor & input, const std::vector<int> & kept,
                               Pipe status, const ChildLimits & limits) {
    KVT_TRY(Pipe output, make_pipe());
    KVT_TRY(Pipe errors, make_pipe());
    Launch launch;
    for (const std::string & argument : argv) launch.argv.push_back(const_cast<char *>(argument.c_str()));
    launch.argv.push_back(nullptr);
    launch.kept = kept;
    launch.kept.push_back(status.write.get());
    launch.input  = input.get();
    launch.output = output.write.get();
    launch.errors = errors.write.get();

    const pid_t pid = ::fork();
    if (pid < 0) return failed("fork");
    if (pid == 0) become(launch);
    const Reaper child(pid);
    output.write.close_now();
    errors.write.close_now();
    status.write.close_now();
    return Watch(child, limits, output, errors, status).until_end();
}

}  // namespace kvt
