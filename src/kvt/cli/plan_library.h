// Finished plans of this user, found by the model that they were made for.
//
// <data>/kvtuner/plans/<first 16 digits of the model file's SHA-256>/<mode>-<bits>b-<hash>.json, with its .safetensors beside it;
// <data> is $XDG_DATA_HOME, else ~/.local/share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt::cli {

// --- Interface ---

struct LibraryPlan {
    std::string                     path;
    PrecisionPlan                   plan;
    std::filesystem::file_time_type written;
};

struct Library {
    std::vector<LibraryPlan> plans;       // newest first
    std::vector<std::string> unreadable;  // one message a file
};

// Errors: neither XDG_DATA_HOME nor HOME is set.
Result<std::string> library_folder();

// All plans, or those of one model file. A library that does not exist is empty.
Result<Library> read_library(const std::optional<ModelInfo> & model);

// Writes the plan and what it uses of its calibration; the same plan again is the same file. Gives the path.
// Errors: a plan that names no model file; the folder cannot be written; those of write_plan_files.
Result<std::string> put_in_library(const PrecisionPlan & plan);

// The mean KL divergence that was measured with the whole plan, if one was.
std::optional<Measured> measured_kld(const PrecisionPlan & plan);
std::string             kld_figure(const std::optional<Measured> & kld);  // "0.0094", "-" without
nlohmann::ordered_json  kld_json(const std::optional<Measured> & kld);    // the value, null without

}  // namespace kvt::cli
