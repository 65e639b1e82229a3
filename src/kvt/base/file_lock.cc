#include "kvt/base/file_lock.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace kvt {

Result<FileLock> FileLock::take(const std::string & path) {
    const std::string file = path + ".lock";
    for (;;) {
        const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return Error{fmt::format("cannot write \"{}\": {}", file, std::strerror(errno))};
        if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int error = errno;
            ::close(fd);
            if (error != EWOULDBLOCK) return Error{fmt::format("cannot lock \"{}\": {}", file, std::strerror(error))};
            return Error{fmt::format(
                "{} is being written by another kvtuner: wait until it has finished, or choose another output", path)};
        }
        // The previous holder may have removed the file between open and flock: then the lock is on nothing.
        struct stat opened = {}, named = {};
        if (::fstat(fd, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_ino == named.st_ino) {
            return FileLock(fd, file);
        }
        ::close(fd);
    }
}

FileLock::FileLock(FileLock && other) noexcept : fd_(std::exchange(other.fd_, -1)), file_(std::move(other.file_)) {}

FileLock::~FileLock() {
    if (fd_ < 0) return;
    ::unlink(file_.c_str());
    ::close(fd_);
}

}  // namespace kvt
