// Carries an exception out of an OpenMP region: one that leaves the region by itself ends the process, somebody else's in the
// plugin.
#pragma once

#include <exception>
#include <mutex>

namespace kvt {

// --- Interface ---

class ParallelErrors {
public:
    // Calls fn(); the first exception of any thread is kept.
    template <class Fn>
    void run(const Fn & fn) noexcept {
        try {
            fn();
        } catch (...) {
            const std::scoped_lock guard(lock_);
            if (first_ == nullptr) first_ = std::current_exception();
        }
    }

    // After the region: throws what was kept, if anything was.
    void rethrow() const {
        if (first_ != nullptr) std::rethrow_exception(first_);
    }

private:
    std::mutex         lock_;
    std::exception_ptr first_;
};

}  // namespace kvt
