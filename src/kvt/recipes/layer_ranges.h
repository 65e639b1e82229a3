// The layer lists that several engines read: "0-1:fp8,2:nvfp4", or one bare name for all layers. Ranges are inclusive.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt::recipes {

// --- Interface ---

// Equal neighbours become one range; layers with an empty name are left out; one name for all layers is written bare.
std::string write_ranges(const std::vector<std::string> & names);

// The name of each of `count` layers, empty where the text gives none.
// Errors: start after end, a layer of `count` or more, a segment without ':' beside others, a layer named twice, an empty name.
Result<std::vector<std::string>> expand_ranges(std::string_view text, int count);

}  // namespace kvt::recipes
