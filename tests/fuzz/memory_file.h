// Bytes as a file that has a name, for readers that take a path.
#pragma once

#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz_input.h"
#include "kvt/base/descriptor.h"
#include "kvt/base/file_io.h"

namespace kvt::fuzz {

// --- Interface ---

class MemoryFile {
public:
    explicit MemoryFile(std::string_view bytes) : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
        expect(file_.open() && write_all(file_.get(), bytes) == 0, "a file in memory can be made");
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

private:
    Descriptor file_;
};

}  // namespace kvt::fuzz
