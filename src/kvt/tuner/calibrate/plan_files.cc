#include "kvt/tuner/calibrate/plan_files.h"

#include <filesystem>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/plan/calibration.h"
#include "kvt/tuner/calibrate/calibrate.h"

namespace kvt {

Status write_plan_files(PrecisionPlan plan, const std::string & path) {
    if (!plan.transforms.empty()) {
        const std::filesystem::path place  = std::filesystem::path(path).replace_extension(".safetensors");
        const std::filesystem::path source = std::filesystem::path(plan.calibration.folder) / plan.calibration.file;
        std::error_code             absent;
        if (place == std::filesystem::path(path) || std::filesystem::equivalent(place, source, absent)) {
            return Error{
                fmt::format("writing the plan to {} would overwrite the calibration file {}: choose another name ending in .json",
                            path, place == std::filesystem::path(path) ? path : source.string())};
        }
        KVT_TRY(const auto all, load_calibration(plan.calibration));
        KVT_TRY(Tensors used, tensors_of_plan(plan, *all));
        const SafetensorsFile file{std::move(used),
                                   {{std::string(kPositionsKey), std::to_string(plan.calibration.positions)},
                                    {std::string(kModelKey), plan.model.file_sha256}}};
        const std::string     bytes = write_safetensors(file);
        KVT_CHECK_OK(write_file_atomic(place.string(), bytes));
        plan.calibration.file   = place.filename().string();
        plan.calibration.sha256 = sha256_hex(bytes);
    }
    return write_file_atomic(path, write_plan(plan));
}

}  // namespace kvt
