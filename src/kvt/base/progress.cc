#include "kvt/base/progress.h"

#include <csignal>
#include <ctime>

#include <fmt/format.h>
#include <unistd.h>

namespace kvt {

namespace {

class NoProgress final : public Progress {
public:
    void begin(std::string_view, int64_t) override {}
    void done(int64_t) override {}
    void note(std::string_view) override {}
    void end() override {}
};

volatile std::sig_atomic_t signal_seen = 0;
timespec                   first_signal{};  // written once, before signal_seen

constexpr int    kInterruptExitCode = 130;
constexpr double kSameSignalSeconds = 0.3;

// Async-signal-safe: sets a flag; a second signal leaves at once, since the first one was not enough for the user. One Ctrl-C
// can arrive twice (timeout(1) signals its child and then the child's group), so a signal right after the first is the same.
extern "C" void on_signal(int) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    if (!signal_seen) {
        first_signal = now;
        signal_seen  = 1;
        return;
    }
    const double passed =
        static_cast<double>(now.tv_sec - first_signal.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - first_signal.tv_nsec);
    if (passed > kSameSignalSeconds) ::_exit(kInterruptExitCode);
}

}  // namespace

Progress & no_progress() {
    static NoProgress progress;
    return progress;
}

bool interrupted() { return signal_seen != 0; }

void install_interrupt_handler() {
    struct sigaction action {};
    action.sa_handler = &on_signal;
    action.sa_flags   = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    ::sigaddset(&action.sa_mask, SIGINT);  // the handler is not interrupted by its twin
    ::sigaddset(&action.sa_mask, SIGTERM);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

Error error_in(std::string_view part, const Error & error) {
    return interrupted() ? error : Error{fmt::format("{}: {}", part, error.message)};
}

}  // namespace kvt
