// Owner of a file descriptor.
#pragma once

#include <utility>

#include <unistd.h>

namespace kvt {

// --- Interface ---

// Closes on every path out; close_now() is for writers, who must see its error (NFS and quotas report there).
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { close_now(); }
    Descriptor(Descriptor && other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor & operator=(Descriptor && other) noexcept {
        if (this != &other) {
            close_now();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    Descriptor(const Descriptor &)             = delete;
    Descriptor & operator=(const Descriptor &) = delete;

    int  get() const { return fd_; }
    bool open() const { return fd_ >= 0; }
    bool close_now() {
        const int fd = std::exchange(fd_, -1);
        return fd < 0 || ::close(fd) == 0;
    }

private:
    int fd_ = -1;
};

}  // namespace kvt
