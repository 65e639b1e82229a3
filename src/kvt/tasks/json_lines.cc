#include "kvt/tasks/json_lines.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "kvt/base/utf8.h"

namespace kvt {

Error JsonRow::error(const std::string & what) const { return Error{fmt::format("{}: {}", where, what)}; }

Result<std::string> JsonRow::text(const char * field) const {
    const auto found = object.find(field);
    if (found == object.end()) return error(fmt::format("the field \"{}\" is missing", field));
    if (!found->is_string()) return error(fmt::format("the field \"{}\" is {}, not text", field, found->type_name()));
    return found->get<std::string>();
}

Result<int> JsonRow::integer(const char * field) const {
    const auto found = object.find(field);
    if (found == object.end()) return error(fmt::format("the field \"{}\" is missing", field));
    if (!found->is_number_integer())
        return error(fmt::format("the field \"{}\" is {}, not a whole number", field, found->type_name()));
    return found->get<int>();
}

JsonLines::JsonLines(std::string path, std::ifstream in, uint64_t offset, int64_t line)
    : path_(std::move(path)), in_(std::move(in)), offset_(offset), line_(line) {}

Result<JsonLines> JsonLines::open(const std::string & path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return Error{fmt::format("cannot read \"{}\": it is a folder", path)};
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    if (!in) return Error{fmt::format("cannot read \"{}\": {}", path, std::strerror(errno))};
    if (in.peek() == std::ifstream::traits_type::eof())
        return Error{fmt::format("{} line 1: the file is empty; a row is one JSON object a line", path)};
    return JsonLines(path, std::move(in), 0, 0);
}

Result<std::optional<JsonRow>> JsonLines::next() {
    std::string text;
    while (std::getline(in_, text)) {
        JsonRow row;
        row.line   = ++line_;
        row.offset = offset_;
        row.path   = path_;
        row.where  = fmt::format("{} line {}", path_, line_);
        offset_ += text.size() + 1;
        if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
        if (!is_utf8(text)) return row.error("not UTF-8");
        row.object = nlohmann::ordered_json::parse(text, nullptr, false);
        if (!row.object.is_object()) return row.error("not a JSON object");
        return std::optional(std::move(row));
    }
    if (in_.bad()) return Error{fmt::format("cannot read \"{}\" behind line {}", path_, line_)};
    return std::optional<JsonRow>{};
}

Result<JsonRow> JsonLines::read_again(const std::string & path, uint64_t offset, int64_t line) {
    KVT_TRY(JsonLines lines, open(path));
    lines.in_.seekg(static_cast<std::streamoff>(offset));
    lines.offset_ = offset;
    lines.line_   = line - 1;
    KVT_TRY(auto row, lines.next());
    if (!row) return Error{fmt::format("{} line {} is gone: the file has changed", path, line)};
    return std::move(*row);
}

}  // namespace kvt
