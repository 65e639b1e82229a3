#include "kvt/tasks/jsonl.h"

#include <map>
#include <optional>

#include <fmt/format.h>

#include "kvt/base/sha256.h"

namespace kvt::tasks {

Status JsonlFile::check_unique(const char * field) const {
    std::map<std::string, int64_t> seen;  // text -> line
    for (const JsonRow & row : rows) {
        KVT_TRY(const std::string value, row.text(field));
        if (value.empty()) return row.error(fmt::format("the field \"{}\" is empty", field));
        const auto [place, fresh] = seen.emplace(value, row.line);
        if (!fresh) return row.error(fmt::format("the field \"{}\" repeats that of line {}", field, place->second));
    }
    return ok_status();
}

Result<JsonlFile> load_jsonl(const std::string & path) {
    KVT_TRY(JsonLines lines, JsonLines::open(path));
    JsonlFile file{path, {}, {}};
    KVT_TRY(file.sha256, sha256_file(path));
    for (;;) {
        KVT_TRY(std::optional<JsonRow> row, lines.next());
        if (!row) break;
        file.rows.push_back(std::move(*row));
    }
    if (file.rows.empty()) return Error{fmt::format("{} line 1: the file holds no row; a row is one JSON object a line", path)};
    return file;
}

}  // namespace kvt::tasks
