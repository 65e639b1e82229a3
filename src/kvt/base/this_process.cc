#include "kvt/base/this_process.h"

#include <unistd.h>

#include <fmt/format.h>

namespace kvt {

std::string this_process() {
    char host[256] = {};
    if (::gethostname(host, sizeof host - 1) != 0) return "";
    return fmt::format("{}:{}", host, ::getpid());
}

Result<std::filesystem::path> program_folder() {
    std::error_code error;
    const auto      program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return Error{fmt::format("/proc/self/exe: {}", error.message())};
    return program.parent_path();
}

}  // namespace kvt
