// Finds the data files that come with kvtuner: in an installation beside the program, in a build in the source tree.
#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// `name` is relative to the data folder, for example "wikitext2/wiki.test.head.raw". The error lists the places looked at.
inline Result<std::string> shipped_data(const std::string & name) {
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

// The user's own file, or the shipped one if none is given.
inline Result<std::string> given_or_shipped(const std::string & given, const std::string & shipped) {
    return given.empty() ? shipped_data(shipped) : Result<std::string>(given);
}

}  // namespace kvt
