#include "kvt/base/this_process.h"

#include <unistd.h>

#include <fmt/format.h>

namespace kvt {

std::string this_process() {
    char host[256] = {};
    if (::gethostname(host, sizeof host - 1) != 0) return "";
    return fmt::format("{}:{}", host, ::getpid());
}

}  // namespace kvt
