#include "kvt/base/shipped_data.h"

#include <filesystem>

#include <fmt/format.h>
#include <kvt_build_info.h>

namespace kvt {

Result<std::string> shipped_data(const std::string & name) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path  program   = fs::read_symlink("/proc/self/exe", error).parent_path();
    const fs::path  installed = (program / build_info::kInstallDataDir / name).lexically_normal();
    const fs::path  source    = fs::path(build_info::kSourceDataDir) / name;
    for (const fs::path & place : {installed, source}) {
        if (fs::is_regular_file(place, error)) return place.string();
    }
    return Error{fmt::format("the shipped file {} was not found; looked at {} and {}; name a file of your own instead", name,
                             installed.string(), source.string())};
}

Result<std::string> given_or_shipped(const std::string & given, const std::string & shipped) {
    return given.empty() ? shipped_data(shipped) : Result<std::string>(given);
}

}  // namespace kvt
