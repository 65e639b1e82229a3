// JSON of figures that may be missing: null, never left out.
#pragma once

#include <cmath>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "kvt/base/stats.h"

namespace kvt {

// --- Interface ---

template <class T>
nlohmann::ordered_json or_null(const std::optional<T> & value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

// A text of which empty means that there is none.
inline nlohmann::ordered_json text_or_null(const std::string & text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
}

// JSON has no NaN and no infinity: an unknown figure is null.
inline nlohmann::ordered_json finite_or_null(double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

// The fields "ci_low" and "ci_high".
inline void put_interval(nlohmann::ordered_json & object, const std::optional<Interval> & interval) {
    object["ci_low"]  = interval ? nlohmann::ordered_json(interval->low) : nlohmann::ordered_json();
    object["ci_high"] = interval ? nlohmann::ordered_json(interval->high) : nlohmann::ordered_json();
}

}  // namespace kvt
