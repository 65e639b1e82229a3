// A lock on a path, so that two processes do not write one file: the kernel drops it when the process ends, however it ends.
#pragma once

#include <string>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// Holds `<path>.lock` until destroyed, then removes it. Advisory: it stops others that ask too. Local file systems.
class FileLock {
public:
    // Errors: another process (or another lock of this one) holds it; the lock file cannot be made.
    static Result<FileLock> take(const std::string & path);

    FileLock(FileLock && other) noexcept;
    FileLock & operator=(FileLock &&) = delete;
    ~FileLock();

private:
    FileLock(int fd, std::string file) : fd_(fd), file_(std::move(file)) {}

    int         fd_ = -1;
    std::string file_;
};

}  // namespace kvt
