#include "kvt/cli/plan_library.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/cli/plan_text.h"
#include "kvt/tuner/calibrate/plan_files.h"

namespace kvt::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kModelDigits = 16, kPlanDigits = 8;

std::string set_variable(const char * name) {
    const char * value = std::getenv(name);
    return value == nullptr ? "" : value;
}

void read_folder(const fs::path & folder, Library & library) {
    std::error_code error;
    for (const auto & entry : fs::directory_iterator(folder, error)) {
        if (entry.path().extension() != ".json") continue;
        auto plan = read_plan_file(entry.path().string());
        if (plan.ok()) {
            library.plans.push_back({entry.path().string(), std::move(*plan), entry.last_write_time(error)});
        } else {
            library.unreadable.push_back(plan.error().message);
        }
    }
}

}  // namespace

Result<std::string> library_folder() {
    const std::string data = set_variable("XDG_DATA_HOME"), home = set_variable("HOME");
    if (data.starts_with('/')) return data + "/kvtuner/plans";  // a relative path is to be ignored (XDG base directories)
    if (!home.empty()) return home + "/.local/share/kvtuner/plans";
    return Error{"the plan library has no place: set HOME or XDG_DATA_HOME"};
}

Result<Library> read_library(const std::optional<ModelInfo> & model) {
    KVT_TRY(const std::string root, library_folder());
    Library library;
    if (model) {
        read_folder(fs::path(root) / model->file_sha256.substr(0, kModelDigits), library);
        std::erase_if(library.plans, [&](const LibraryPlan & p) { return !check_plan_for_model(p.plan, *model).ok(); });
    } else {
        std::error_code error;
        for (const auto & entry : fs::directory_iterator(root, error)) read_folder(entry.path(), library);
    }
    std::sort(library.plans.begin(), library.plans.end(), [](const LibraryPlan & a, const LibraryPlan & b) {
        return a.written != b.written ? a.written > b.written : a.path < b.path;
    });
    std::sort(library.unreadable.begin(), library.unreadable.end());
    return library;
}

Result<std::string> put_in_library(const PrecisionPlan & plan) {
    if (plan.model.file_sha256.empty()) return Error{"the plan names no model file, so the library could not find it again"};
    KVT_TRY(const std::string root, library_folder());
    const std::string folder = root + "/" + plan.model.file_sha256.substr(0, kModelDigits);
    KVT_CHECK_OK(make_folder(folder));
    const std::string hash = sha256_hex(write_plan(plan)).substr(0, kPlanDigits);
    std::string       path = fmt::format("{}/{}-{}b-{}.json", folder, mode_name(plan.mode), bits_text(payload_bits(plan)), hash);
    KVT_CHECK_OK(write_plan_files(plan, path));
    return path;
}

std::optional<Measured> measured_kld(const PrecisionPlan & plan) {
    for (const Measured & m : plan.measured) {
        if (m.metric == "kld_mean" && m.joint) return m;
    }
    return std::nullopt;
}

std::string kld_figure(const std::optional<Measured> & kld) { return kld ? fmt::format("{:.4f}", kld->value) : "-"; }

nlohmann::ordered_json kld_json(const std::optional<Measured> & kld) {
    return kld ? nlohmann::ordered_json(kld->value) : nlohmann::ordered_json();
}

}  // namespace kvt::cli
