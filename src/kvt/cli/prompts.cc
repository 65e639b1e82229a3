#include "kvt/cli/prompts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"

namespace kvt::cli {

namespace {

std::vector<std::string> lines_of(const std::string & text) {
    std::vector<std::string> lines;
    size_t                   at = 0;
    while (at < text.size()) {
        const size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
        at = end + 1;
    }
    return lines;
}

bool blank(const std::string & line) { return line.find_first_not_of(" \t") == std::string::npos; }

Result<std::string> prompt_of(const std::string & line) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object()) return Error{"is not a JSON object"};
    for (const char * field : {"question", "prompt", "text"}) {
        if (row.contains(field) && row[field].is_string() && !blank(row[field].get<std::string>()))
            return row[field].get<std::string>();
    }
    return Error{"has no text in \"question\", \"prompt\" or \"text\""};
}

}  // namespace

Result<std::vector<std::string>> load_prompts(const std::string & path, int limit) {
    KVT_TRY(const std::string text, read_file(path));
    const size_t             most = limit > 0 ? static_cast<size_t>(limit) : SIZE_MAX;
    std::vector<std::string> prompts;
    const auto               lines = lines_of(text);
    if (path.ends_with(".jsonl")) {
        for (size_t i = 0; i < lines.size() && prompts.size() < most; ++i) {
            if (blank(lines[i])) continue;
            auto prompt = prompt_of(lines[i]);
            if (!prompt.ok()) return Error{fmt::format("{} line {} {}", path, i + 1, prompt.error().message)};
            prompts.push_back(std::move(*prompt));
        }
    } else {
        std::string paragraph;
        for (size_t i = 0; i <= lines.size() && prompts.size() < most; ++i) {
            if (i < lines.size() && !blank(lines[i])) {
                paragraph += (paragraph.empty() ? "" : "\n") + lines[i];
            } else if (!paragraph.empty()) {
                prompts.push_back(std::move(paragraph));
                paragraph.clear();
            }
        }
    }
    if (prompts.empty()) return Error{fmt::format("{} holds no prompts", path)};
    return prompts;
}

}  // namespace kvt::cli
