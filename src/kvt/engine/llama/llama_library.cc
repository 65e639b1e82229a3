#include "kvt/engine/llama/llama_library.h"

#include <dlfcn.h>

#include <fmt/format.h>
#include <llama.h>

namespace kvt {

Result<std::filesystem::path> llama_library() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void *>(&llama_print_system_info), &info) == 0 || info.dli_fname == nullptr)
        return Error{"the loader does not say where libllama is"};
    std::error_code       error;
    std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
    if (error) return Error{fmt::format("{}: {}", info.dli_fname, error.message())};
    return file;
}

}  // namespace kvt
