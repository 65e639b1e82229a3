#include "kvt/cli/terminal_progress.h"

#include <algorithm>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "kvt/base/stopwatch.h"
#include "kvt/cli/console.h"

namespace kvt::cli {

namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds   = 10;
constexpr int    kBarCells      = 20;

size_t terminal_columns(std::FILE * stream) {
    winsize size{};
    if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

}  // namespace

TerminalProgress::TerminalProgress(std::FILE * out, Mode mode, Clock clock)
    : out_(out),
      bar_(mode == Mode::bar || (mode == Mode::detect && is_terminal(out))),
      clock_(clock ? std::move(clock) : seconds_now) {}

TerminalProgress::~TerminalProgress() {
    if (running_ && bar_) clear_line();  // an error message follows on a clean line
}

void TerminalProgress::begin(std::string_view stage, int64_t total) {
    if (running_) end();
    stage_   = stage;
    note_    = {};
    total_   = total;
    done_    = 0;
    started_ = drawn_ = clock_();
    running_          = true;
    if (bar_) {
        draw();
    } else {
        fmt::print(out_, "{}: started, {} steps\n", stage_, total_);
        std::fflush(out_);
    }
}

void TerminalProgress::done(int64_t steps) {
    done_            = std::min(total_, done_ + steps);
    const double now = clock_();
    if (!running_ || now - drawn_ < (bar_ ? kRedrawSeconds : kLineSeconds)) return;
    drawn_ = now;
    draw();
}

void TerminalProgress::note(std::string_view text) {
    note_ = text;
    done(0);
}

void TerminalProgress::end() {
    if (!running_) return;
    running_ = false;
    if (bar_) clear_line();
    fmt::print(out_, "{}: {} in {}{}{}\n", stage_, done_ == total_ ? "done" : "stopped", duration_text(clock_() - started_),
               note_.empty() ? "" : ", ", note_);
    std::fflush(out_);
}

std::string TerminalProgress::time_left(double now) const {
    if (done_ == 0) return "";
    return fmt::format("{} left",
                       duration_text((now - started_) / static_cast<double>(done_) * static_cast<double>(total_ - done_)));
}

void TerminalProgress::draw() {
    const int64_t percent = total_ > 0 ? done_ * 100 / total_ : 0;
    const auto    left    = time_left(clock_());
    if (!bar_) {
        fmt::print(out_, "{}: {} % ({} of {}){}{}{}{}\n", stage_, percent, done_, total_, left.empty() ? "" : ", ", left,
                   note_.empty() ? "" : ", ", note_);
    } else {
        const auto  full = static_cast<size_t>(total_ > 0 ? done_ * kBarCells / total_ : 0);
        std::string line =
            fmt::format("{} [{}{}] {:3} %", stage_, std::string(full, '#'), std::string(kBarCells - full, '-'), percent);
        for (const std::string & part : {left, note_}) {
            if (!part.empty()) line += "  " + part;
        }
        fmt::print(out_, "\r\033[K{}", line.substr(0, terminal_columns(out_) - 1));  // a wrapped line could not be redrawn
    }
    std::fflush(out_);
}

void TerminalProgress::clear_line() {
    fmt::print(out_, "\r\033[K");
    std::fflush(out_);
}

}  // namespace kvt::cli
