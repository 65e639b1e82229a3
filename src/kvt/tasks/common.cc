#include "kvt/tasks/common.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/shipped_data.h"
#include "kvt/base/utf8.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

std::string no_item(const TaskHeader & header, int index) {
    return fmt::format("{}: there is no item {}, only 0 to {}", header.name, index, header.n_items - 1);
}

}  // namespace

Result<TaskItem> ItemTask::item(int index) const {
    if (index < 0 || index >= header_.n_items) return Error{no_item(header_, index)};
    return make_item(static_cast<size_t>(index));
}

Verdict ItemTask::score(int index, std::string_view response) const {
    if (index >= 0 && index < header_.n_items) return judge(static_cast<size_t>(index), response);
    Verdict verdict;
    verdict.error = no_item(header_, index);
    return verdict;
}

Verdict BasicTask::judge(size_t index, std::string_view response) const { return finished(grade(index, response), response); }

Result<std::string> checked_variant(const TaskOptions & options, std::initializer_list<std::string_view> variants, Known known) {
    const std::string & name = options.name;
    if (options.limit < 0) return Error{fmt::format("{}: a limit of {} items is negative; 0 takes all", name, options.limit)};
    if (options.max_new_tokens < 0) {
        return Error{fmt::format("{}: {} new tokens is negative; 0 takes the task's own number", name, options.max_new_tokens)};
    }
    if (known != Known::shots && options.shots > 0) {
        return Error{fmt::format("{}: has no shots, {} were asked for; leave --shots out", name, options.shots)};
    }
    if (options.shots < -1) return Error{fmt::format("{}: {} shots is negative", name, options.shots)};
    if (known != Known::length && options.length != 0) {
        return Error{fmt::format("{}: has no length, {} was asked for; leave it out", name, options.length)};
    }
    if (options.variant.empty()) return std::string(*variants.begin());
    if (std::find(variants.begin(), variants.end(), options.variant) != variants.end()) return options.variant;
    return Error{fmt::format("{}: there is no variant \"{}\" (known: {})", name, options.variant, fmt::join(variants, ", "))};
}

Result<std::vector<std::string>> data_files(const TaskOptions & options, std::initializer_list<std::string_view> shipped) {
    if (options.data.size() > shipped.size()) {
        return Error{fmt::format("{}: {} data files were given, it reads {}: {}", options.name, options.data.size(),
                                 shipped.size(), fmt::join(shipped, ", "))};
    }
    std::vector<std::string> paths = options.data;
    for (size_t i = paths.size(); i < shipped.size(); ++i) {
        KVT_TRY(std::string path, shipped_data(std::string(shipped.begin()[i])));
        paths.push_back(std::move(path));
    }
    return paths;
}

TaskHeader task_header(const TaskOptions & options, const std::string & variant, size_t n_rows, int new_tokens) {
    const int  n = static_cast<int>(n_rows);
    TaskHeader header;
    header.name           = options.name;
    header.variant        = variant;
    header.n_items        = options.limit > 0 ? std::min(options.limit, n) : n;
    header.max_new_tokens = options.max_new_tokens > 0 ? options.max_new_tokens : new_tokens;
    return header;
}

std::string_view before_stops(std::string_view response, const std::vector<std::string> & stops) {
    for (const std::string & stop : stops) response = response.substr(0, response.find(stop));
    return response;
}

Verdict finished(Verdict verdict, std::string_view response) {
    constexpr size_t kMaxBytes = 1000;
    if (verdict.extracted == kInvalid) verdict.flags.push_back("no_answer");
    verdict.extracted.resize(utf8_prefix(verdict.extracted, kMaxBytes).size());
    if (is_utf8(response) && response.find('\0') == std::string_view::npos) return verdict;
    verdict.flags.push_back("bad_utf8");
    verdict.extracted = clean_utf8(verdict.extracted);
    for (auto & score : verdict.scores) score.second = 0;
    return verdict;
}

}  // namespace kvt::tasks
