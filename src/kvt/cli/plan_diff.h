// Two plans side by side: sizes, quality, how alike they are, and the layers in which they differ.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"
#include "kvt/eval/kld.h"

namespace kvt::cli {

// --- Interface ---

// Errors: their layers are not the same ones.
Result<std::string>            diff_text(const NamedPlan & a, const NamedPlan & b);
Result<nlohmann::ordered_json> diff_json(const NamedPlan & a, const NamedPlan & b);

}  // namespace kvt::cli
