#include "kvt/recipes/layer_ranges.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace kvt::recipes {

namespace {

std::optional<int> whole_number(std::string_view text) {
    int value              = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

}  // namespace

std::string write_ranges(const std::vector<std::string> & names) {
    std::string text;
    for (size_t i = 0; i < names.size();) {
        size_t end = i + 1;
        while (end < names.size() && names[end] == names[i]) end++;
        if (i == 0 && end == names.size()) return names[0];
        if (!names[i].empty()) {
            const std::string range = end - i == 1 ? fmt::format("{}", i) : fmt::format("{}-{}", i, end - 1);
            text += fmt::format("{}{}:{}", text.empty() ? "" : ",", range, names[i]);
        }
        i = end;
    }
    return text;
}

Result<std::vector<std::string>> expand_ranges(std::string_view text, int count) {
    std::vector<std::string> names(static_cast<size_t>(count));
    if (text.find(':') == std::string_view::npos && text.find(',') == std::string_view::npos) {
        if (text.empty()) return Error{"an empty layer list"};
        names.assign(names.size(), std::string(text));
        return names;
    }
    while (true) {
        const std::string_view segment = text.substr(0, text.find(','));
        const size_t           colon = segment.find(':'), dash = segment.find('-');
        if (colon == std::string_view::npos)
            return Error{fmt::format("segment \"{}\" has no ':', so it would name all layers beside others", segment)};
        const bool is_range = dash < colon;
        const auto first    = whole_number(segment.substr(0, is_range ? dash : colon));
        const auto last     = is_range ? whole_number(segment.substr(dash + 1, colon - dash - 1)) : first;
        if (!first || !last || colon + 1 == segment.size())
            return Error{fmt::format("segment \"{}\" is not LAYER:NAME or FIRST-LAST:NAME", segment)};
        if (*first > *last) return Error{fmt::format("segment \"{}\" starts after its end", segment)};
        if (*last >= count) return Error{fmt::format("segment \"{}\": there are {} layers, counted from 0", segment, count)};
        for (int i = *first; i <= *last; ++i) {
            std::string & name = names[static_cast<size_t>(i)];
            if (!name.empty()) return Error{fmt::format("segment \"{}\" names layer {} a second time", segment, i)};
            name = segment.substr(colon + 1);
        }
        if (segment.size() == text.size()) return names;
        text.remove_prefix(segment.size() + 1);
    }
}

}  // namespace kvt::recipes
