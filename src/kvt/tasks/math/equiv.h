// The strict grader of MATH: both sides normalised by hendrycks' steps, then compared as bytes (evaluation.md section 3.3).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvt::tasks {

// --- Interface ---

// Steps 1 to 18; nothing where a step aborts. Linear.
std::optional<std::string> hendrycks_strip(std::string_view answer);

// Equal after the steps; where one side aborts, equal as they stand. A missing side is unequal to anything.
bool is_equiv(std::optional<std::string_view> a, std::optional<std::string_view> b);

}  // namespace kvt::tasks
