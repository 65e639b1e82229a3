// Wall time.
#pragma once

#include <chrono>

namespace kvt {

// --- Interface ---

// Seconds of a clock that never goes back; only differences mean something.
inline double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Time since a moment.
class Stopwatch {
public:
    double seconds() const { return seconds_now() - start_; }
    void   restart() { start_ = seconds_now(); }

private:
    double start_ = seconds_now();
};

}  // namespace kvt
