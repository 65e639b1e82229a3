#include "kvt/tasks/jsonl.h"

#include <map>
#include <string_view>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

Error JsonlFile::error(size_t row, const std::string & what) const {
    return Error{fmt::format("\"{}\" line {}: {}", path, lines[row], what)};
}

Result<std::string> JsonlFile::text(size_t row, const char * field) const {
    const auto found = rows[row].find(field);
    if (found == rows[row].end()) return error(row, fmt::format("the field \"{}\" is missing", field));
    if (!found->is_string()) return error(row, fmt::format("the field \"{}\" is {}, not text", field, found->type_name()));
    return found->get<std::string>();
}

Result<int> JsonlFile::integer(size_t row, const char * field) const {
    const auto found = rows[row].find(field);
    if (found == rows[row].end()) return error(row, fmt::format("the field \"{}\" is missing", field));
    if (!found->is_number_integer()) {
        return error(row, fmt::format("the field \"{}\" is {}, not a whole number", field, found->type_name()));
    }
    return found->get<int>();
}

Status JsonlFile::check_unique(const char * field) const {
    std::map<std::string, int> seen;  // text -> line
    for (size_t i = 0; i < rows.size(); ++i) {
        KVT_TRY(const std::string value, text(i, field));
        if (value.empty()) return error(i, fmt::format("the field \"{}\" is empty", field));
        const auto [place, fresh] = seen.emplace(value, lines[i]);
        if (!fresh) return error(i, fmt::format("the field \"{}\" repeats that of line {}", field, place->second));
    }
    return ok_status();
}

Result<JsonlFile> load_jsonl(const std::string & path) {
    KVT_TRY(const std::string bytes, read_file(path));
    JsonlFile file{path, sha256_hex(bytes), {}, {}};
    int       number = 0;
    for (const std::string_view line : split(bytes, "\n")) {
        ++number;
        if (trimmed(line).empty()) continue;
        file.lines.push_back(number);
        if (!valid_utf8(line)) return file.error(file.rows.size(), "not UTF-8");
        auto value = nlohmann::json::parse(line, nullptr, false);
        if (!value.is_object()) return file.error(file.rows.size(), "not a JSON object");
        file.rows.push_back(std::move(value));
    }
    if (file.rows.empty()) return Error{fmt::format("\"{}\" line 1: the file is empty; a row is one JSON object a line", path)};
    return file;
}

}  // namespace kvt::tasks
