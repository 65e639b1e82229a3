#include "kvt/tasks/csv.h"

#include <utility>

#include <fmt/format.h>

namespace kvt::tasks {

Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string>              row;
    std::string                           field;
    const auto place = [&] { return fmt::format("row {}, column {}", rows.size() + 1, row.size() + 1); };
    for (size_t at = 0; at < text.size();) {
        if (text[at] == '"' && field.empty()) {  // only the start of a field can get here: a field is taken whole below
            for (++at;; ++at) {
                if (at >= text.size()) return Error{place() + ": the quote is never closed"};
                if (text[at] != '"') {
                    field += text[at];
                } else if (at + 1 < text.size() && text[at + 1] == '"') {
                    field += text[at++];
                } else {
                    break;
                }
            }
            ++at;
            if (at < text.size() && text[at] != ',' && text[at] != '\n' && text[at] != '\r') {
                return Error{place() + ": text behind the closing quote"};
            }
        } else {
            while (at < text.size() && text[at] != ',' && text[at] != '\n' && text[at] != '\r') field += text[at++];
        }
        row.push_back(std::move(field));
        field.clear();
        if (at < text.size() && text[at] == ',') {
            ++at;
            if (at == text.size()) row.emplace_back();
            continue;
        }
        if (at < text.size() && text[at] == '\r') ++at;
        if (at < text.size() && text[at] == '\n') ++at;
        rows.push_back(std::move(row));
        row.clear();
    }
    if (!row.empty()) rows.push_back(std::move(row));
    return rows;
}

}  // namespace kvt::tasks
