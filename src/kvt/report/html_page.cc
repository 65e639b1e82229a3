#include "kvt/report/html_page.h"

#include <array>
#include <utility>

#include "kvt/base/json_text.h"
#include "kvt/report/page_files.h"
#include "kvt/report/report_data.h"

namespace kvt {

std::string script_json(const nlohmann::ordered_json & data) {
    std::string out;
    for (const char c : json_text(data, -1, JsonChars::ascii)) {
        switch (c) {  // these stand only inside strings, where an escape means the same
            case '<':
                out += "\\u003c";
                break;
            case '>':
                out += "\\u003e";
                break;
            case '&':
                out += "\\u0026";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string html_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string html_page(const nlohmann::ordered_json & data) {
    const std::string title = clean_text(data.at("study").at("model").at("name").get<std::string>());
    const std::array<std::pair<std::string_view, std::string>, 6> parts{{{"{{title}}", html_text(title)},
                                                                         {"{{style}}", std::string(page::style())},
                                                                         {"{{library}}", std::string(page::library())},
                                                                         {"{{licences}}", html_text(page::licences())},
                                                                         {"{{data}}", script_json(data)},
                                                                         {"{{script}}", std::string(page::script())}}};
    std::string                                                   out;
    const std::string_view                                        frame = page::frame();
    // One pass over the frame: what was put in is never looked at again.
    for (size_t i = 0; i < frame.size();) {
        const auto * part = parts.begin();
        while (part != parts.end() && !frame.substr(i).starts_with(part->first)) ++part;
        if (part == parts.end()) {
            out += frame[i++];
        } else {
            out += part->second;
            i += part->first.size();
        }
    }
    return out;
}

}  // namespace kvt
