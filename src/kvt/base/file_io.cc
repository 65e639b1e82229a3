#include "kvt/base/file_io.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace kvt {

namespace {

// Closes on every path out; close_now() is for writers, who must see its error (NFS and quotas report there).
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor &)             = delete;
    Descriptor & operator=(const Descriptor &) = delete;

    int  get() const { return fd_; }
    bool close_now() {
        const int fd = fd_;
        fd_          = -1;
        return ::close(fd) == 0;
    }

private:
    int fd_;
};

Error cannot(const char * what, const std::string & path, int error) {
    return Error{fmt::format("cannot {} \"{}\": {}", what, path, std::strerror(error))};
}

// 0, or the errno of the first failure.
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

// Unique in this process and between processes, in the folder of `path` so that rename() stays on one file system.
std::string temporary_name(const std::string & path) {
    static std::atomic<unsigned> counter{0};
    return fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter.fetch_add(1));
}

// Makes the rename itself durable. Some file systems cannot sync a folder (EINVAL); the file's bytes are safe there too.
void sync_folder_of(const std::string & path) {
    const auto parent = std::filesystem::path(path).parent_path();
    Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() >= 0) (void)::fsync(folder.get());
}

// A pipe or device (-o /dev/stdout) cannot be replaced by rename; it is written through.
Status write_through(const std::string & path, std::string_view bytes) {
    Descriptor out(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (out.get() < 0) return cannot("write", path, errno);
    if (const int error = write_all(out.get(), bytes)) return cannot("write", path, error);
    if (!out.close_now()) return cannot("write", path, errno);
    return ok_status();
}

}  // namespace

Result<std::string> read_file(const std::string & path) {
    Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (in.get() < 0) return cannot("read", path, errno);
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

Status write_file_atomic(const std::string & path, std::string_view bytes) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) {
        if (S_ISDIR(info.st_mode)) return cannot("write", path, EISDIR);
        if (!S_ISREG(info.st_mode)) return write_through(path, bytes);
    }

    const std::string temporary = temporary_name(path);
    Descriptor        out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (out.get() < 0) return cannot("write", path, errno);
    const auto fail = [&](int error) {
        ::unlink(temporary.c_str());
        return cannot("write", path, error);
    };
    if (const int error = write_all(out.get(), bytes)) return fail(error);
    if (::fsync(out.get()) != 0) return fail(errno);
    if (!out.close_now()) return fail(errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno);
    sync_folder_of(path);
    return ok_status();
}

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
