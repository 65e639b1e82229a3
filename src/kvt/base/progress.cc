#include "kvt/base/progress.h"

#include <csignal>

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

constexpr int kInterruptExitCode = 130;

// Async-signal-safe: sets a flag; the second signal leaves at once, since the first one was not enough for the user.
extern "C" void on_signal(int) {
    if (signal_seen) ::_exit(kInterruptExitCode);
    signal_seen = 1;
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
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace kvt
