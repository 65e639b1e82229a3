// Progress on stderr: one line redrawn in place on a terminal, a plain line now and then in a log.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "kvt/base/progress.h"

namespace kvt::cli {

// --- Interface ---

// On a terminal: "search [########------------]  40 %  0:32 left  best 0.0123", at most 10 times a second.
// Else:          "search: 40 % (8 of 20), 0:32 left", every 10 seconds.
class TerminalProgress final : public Progress {
public:
    enum class Mode : uint8_t { detect, bar, lines };
    using Clock = std::function<double()>;  // seconds, monotonic

    explicit TerminalProgress(std::FILE * out = stderr, Mode mode = Mode::detect, Clock clock = {});
    ~TerminalProgress() override;
    TerminalProgress(const TerminalProgress &)             = delete;
    TerminalProgress & operator=(const TerminalProgress &) = delete;

    void begin(std::string_view stage, int64_t total) override;
    void done(int64_t steps) override;
    void note(std::string_view text) override;
    void end() override;

private:
    std::string time_left(double now) const;
    void        draw();
    void        clear_line();

    std::FILE * out_;
    bool        bar_;
    Clock       clock_;
    std::string stage_, note_;
    int64_t     total_ = 0, done_ = 0;
    double      started_ = 0, drawn_ = 0;
    bool        running_ = false;
};

}  // namespace kvt::cli
