// The report as one HTML file: no network, charts drawn in the browser from the JSON inside it.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace kvt {

// --- Interface ---

// `data` is report_json(). The file holds the style, our scripts, the parts of D3 that they use and their licences.
std::string html_page(const nlohmann::ordered_json & data);

// JSON that cannot end the script element it stands in: ASCII, with <, > and & as \u escapes.
std::string script_json(const nlohmann::ordered_json & data);

// Text as HTML, also inside quoted attributes.
std::string html_text(std::string_view text);

}  // namespace kvt
