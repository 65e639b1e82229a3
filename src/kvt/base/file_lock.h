// A lock on a path, so that two processes do not write one file: the kernel drops it when the process ends, however it ends.
#pragma once

#include <string>
#include <utility>

#include "kvt/base/descriptor.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// Holds `<path>.lock` until destroyed, then removes it. Advisory: it stops others that ask too. Local file systems.
class FileLock {
public:
    // Errors: another process (or another lock of this one) holds it; the lock file cannot be made.
    static Result<FileLock> take(const std::string & path);

    FileLock(FileLock &&)             = default;
    FileLock & operator=(FileLock &&) = delete;
    ~FileLock();

private:
    FileLock(Descriptor fd, std::string file) : fd_(std::move(fd)), file_(std::move(file)) {}

    Descriptor  fd_;
    std::string file_;
};

}  // namespace kvt
