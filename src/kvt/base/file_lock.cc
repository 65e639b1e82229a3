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
        Descriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
        if (!fd.open()) return Error{fmt::format("cannot write \"{}\": {}", file, std::strerror(errno))};
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) return Error{fmt::format("cannot lock \"{}\": {}", file, std::strerror(errno))};
            return Error{fmt::format(
                "{} is being written by another kvtuner: wait until it has finished, or choose another output", path)};
        }
        // The previous holder may have removed the file between open and flock: then the lock is on nothing.
        struct stat opened = {}, named = {};
        if (::fstat(fd.get(), &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_ino == named.st_ino) {
            return FileLock(std::move(fd), file);
        }
    }
}

FileLock::~FileLock() {
    if (fd_.open()) ::unlink(file_.c_str());
}

}  // namespace kvt
