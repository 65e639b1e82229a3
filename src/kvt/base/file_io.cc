#include "kvt/base/file_io.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace kvt {

namespace {

Error cannot(const char * what, const std::string & path, int error) {
    return Error{fmt::format("cannot {} \"{}\": {}", what, path, std::strerror(error))};
}

bool is_named(const Descriptor & file, const std::string & path) {
    struct stat opened = {}, named = {};
    return ::fstat(file.get(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

// One temporary name for each path, in its folder so that rename() stays on one file system: what a killed process leaves
// behind is removed by the next one that writes the path. Living writers hold a lock on their file, so they are told apart.
Result<Descriptor> create_temporary(const std::string & path, const std::string & temporary) {
    for (;;) {
        Descriptor out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (out.open()) {
            if (::flock(out.get(), LOCK_EX | LOCK_NB) == 0) {
                if (is_named(out, temporary)) return out;
            } else if (errno != EWOULDBLOCK) {
                const int error = errno;
                ::unlink(temporary.c_str());
                return cannot("lock", temporary, error);
            }
            continue;  // another writer took the new file for one left behind, and removes it
        }
        if (errno != EEXIST) return cannot("write", path, errno);
        const Descriptor left(::open(temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!left.open()) {
            if (errno == ENOENT) continue;
            return cannot("remove", temporary, errno);
        }
        while (::flock(left.get(), LOCK_EX) != 0) {
            if (errno != EINTR) return cannot("lock", temporary, errno);
        }
        if (is_named(left, temporary) && ::unlink(temporary.c_str()) != 0) return cannot("remove", temporary, errno);
    }
}

// Makes the rename itself durable. Some file systems cannot sync a folder (EINVAL); the file's bytes are safe there too.
void sync_folder_of(const std::string & path) {
    const auto parent = std::filesystem::path(path).parent_path();
    Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.open()) (void)::fsync(folder.get());
}

}  // namespace

int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        bytes.remove_prefix(static_cast<size_t>(n));
    }
    return 0;
}

Result<std::string> read_file(const std::string & path) {
    Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!in.open()) return cannot("read", path, errno);
    struct stat info {};
    if (::fstat(in.get(), &info) != 0) return cannot("read", path, errno);
    if (S_ISDIR(info.st_mode)) return cannot("read", path, EISDIR);

    std::string bytes;
    if (info.st_size > 0) bytes.reserve(static_cast<size_t>(info.st_size));
    char buffer[64 * 1024];
    while (true) {
        const ssize_t n = ::read(in.get(), buffer, sizeof buffer);
        if (n == 0) return bytes;
        if (n < 0) {
            if (errno == EINTR) continue;
            return cannot("read", path, errno);
        }
        bytes.append(buffer, static_cast<size_t>(n));
    }
}

AtomicFile::AtomicFile(std::string path, std::string temporary, Descriptor out)
    : path_(std::move(path)), temporary_(std::move(temporary)), out_(std::move(out)) {}

AtomicFile::AtomicFile(AtomicFile && other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})), out_(std::move(other.out_)) {}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string & path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) {
        if (S_ISDIR(info.st_mode)) return cannot("write", path, EISDIR);
        if (!S_ISREG(info.st_mode)) {  // a pipe or device (-o /dev/stdout) cannot be replaced by rename; it is written through
            Descriptor through(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
            if (!through.open()) return cannot("write", path, errno);
            return AtomicFile(path, "", std::move(through));
        }
    }
    std::string temporary = path + ".tmp";
    KVT_TRY(Descriptor out, create_temporary(path, temporary));
    return AtomicFile(path, std::move(temporary), std::move(out));
}

Status AtomicFile::write(std::string_view bytes) {
    if (const int error = write_all(out_.get(), bytes)) return cannot("write", path_, error);
    return ok_status();
}

Status AtomicFile::commit() {
    if (temporary_.empty()) {
        if (!out_.close_now()) return cannot("write", path_, errno);
        return ok_status();
    }
    // Closing gives the lock up, so it comes last; fsync has reported what closing could.
    if (::fsync(out_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot("write", path_, errno);
    temporary_.clear();
    out_.close_now();
    sync_folder_of(path_);
    return ok_status();
}

Status write_file_atomic(const std::string & path, std::string_view bytes) {
    KVT_TRY(AtomicFile file, AtomicFile::create(path));
    KVT_CHECK_OK(file.write(bytes));
    return file.commit();
}

std::string file_name(const std::string & path) { return path.substr(path.find_last_of('/') + 1); }

Status make_folder(const std::string & path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return cannot("create the folder", path, error.value());
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return cannot("create the folder", path, errno);
    if (!S_ISDIR(info.st_mode)) return cannot("create the folder", path, ENOTDIR);
    if (::access(path.c_str(), W_OK | X_OK) != 0) return cannot("write into the folder", path, errno);
    return ok_status();
}

bool file_exists(const std::string & path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
}

}  // namespace kvt
