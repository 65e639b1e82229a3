// Whole-file reading and atomic writing. Every error names the path and the system's reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/descriptor.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

Result<std::string> read_file(const std::string & path);

// Writes all bytes at the file's position. 0, or the errno of the first failure.
int write_all(int fd, std::string_view bytes);

// Writes `path` whole or not at all: `<path>.tmp` (a killed writer's is removed, a living one's waited for), fsync, rename.
Status write_file_atomic(const std::string & path, std::string_view bytes);

// The same for output that does not fit in memory: `path` is replaced by commit(); without it nothing is left behind.
class AtomicFile {
public:
    static Result<AtomicFile> create(const std::string & path);
    AtomicFile(AtomicFile && other) noexcept;
    AtomicFile & operator=(AtomicFile &&) = delete;
    ~AtomicFile();

    Status write(std::string_view bytes);
    Status commit();

private:
    AtomicFile(std::string path, std::string temporary, Descriptor out);

    std::string path_, temporary_;  // temporary_ is empty when there is nothing to remove
    Descriptor  out_;
};

// What stands behind the last "/".
std::string file_name(const std::string & path);

// Creates `path` and its parents; errors if it exists and is not a writable folder.
Status make_folder(const std::string & path);

bool file_exists(const std::string & path);

}  // namespace kvt
