#include "kvt/base/shipped_data.h"

#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvt_build_info.h>

#include "kvt/base/this_process.h"

namespace kvt {

Result<std::string> shipped_data(const std::string & name) {
    namespace fs = std::filesystem;
    std::vector<std::string> looked;
    if (const auto program = program_folder(); program.ok())
        looked.push_back((*program / build_info::kInstallDataDir / name).lexically_normal().string());
    if (*build_info::kSourceDataDir != '\0') looked.push_back((fs::path(build_info::kSourceDataDir) / name).string());
    for (const std::string & place : looked) {
        if (std::error_code error; fs::is_regular_file(place, error)) return place;
    }
    return Error{fmt::format("the shipped file {} was not found; looked at {}; name a file of your own instead", name,
                             fmt::join(looked, " and "))};
}

Result<std::string> given_or_shipped(const std::string & given, const std::string & shipped) {
    return given.empty() ? shipped_data(shipped) : Result<std::string>(given);
}

}  // namespace kvt
