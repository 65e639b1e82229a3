// The order in which GPQA's options are shown.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

// Display order of option 0 (the right one) and 1 to 3, from the record and the seed alone (evaluation.md section 4).
std::array<int, 4> option_order(std::string_view record_id, uint64_t seed);

}  // namespace kvt::tasks
