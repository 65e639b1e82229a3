#include "kvt/tasks/needle/fitted_task.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/tasks/text.h"

namespace kvt::tasks {

Result<TaskItem> FittedTask::make_item(size_t index) const {
    const int room = header_.n_items > 0 ? options_.length - header_.max_new_tokens : 0;
    // The variant "text" is counted as it is asked, without a template, which the model may not even have.
    const auto asked = [&](int units) {
        TaskItem item = item_of(index, units);
        if (header_.variant == "text") {
            item.text = std::move(item.turns[0].text);
            item.turns.clear();
        }
        return item;
    };
    const auto fits = [&](int units) -> Result<bool> {
        KVT_TRY(const int n, options_.count_tokens(asked(units)));
        return n <= room;
    };
    int smallest = 1;
    while (!enough(smallest)) ++smallest;
    KVT_TRY(const bool possible, fits(smallest));
    if (!possible) {
        return Error{fmt::format(
            "{}: {} tokens are too few for the question, one unit of text and {} new tokens; ask for a greater length",
            header_.name, options_.length, header_.max_new_tokens)};
    }
    int low = smallest, high = smallest;  // low fits
    while (low == high) {
        high = std::min(2 * low, max_units());
        if (high == low) {
            return Error{fmt::format("{}: \"{}\" has too little text for {} tokens; name the whole wiki.test.raw with --data",
                                     header_.name, header_.data_name, options_.length)};
        }
        KVT_TRY(const bool more, fits(high));
        if (more) low = high;
    }
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        KVT_TRY(const bool more, fits(middle));
        (more ? low : high) = middle;
    }
    TaskItem item         = asked(low);
    item.id               = std::to_string(index);
    item.gold             = fmt::format("{}", fmt::join(references(index), ", "));
    item.groups["length"] = std::to_string(options_.length);
    return item;
}

Verdict FittedTask::grade(size_t index, std::string_view response) const {
    const std::string text   = lower_ascii(response);
    const auto        wanted = references(index);
    double            found  = 0;
    for (const std::string & reference : wanted) found += text.find(lower_ascii(reference)) != std::string::npos ? 1 : 0;
    Verdict verdict;
    verdict.extracted = std::string(trimmed(response));
    verdict.rule      = "substring";
    verdict.scores    = {{"recall", found / static_cast<double>(wanted.size())}};
    return verdict;
}

Status no_data_files(const TaskOptions & options) {
    if (options.data.empty()) return ok_status();
    return Error{fmt::format("{}: reads no data file, {} were given", options.name, options.data.size())};
}

Result<TaskHeader> fitted_header(const TaskOptions & options, int new_tokens) {
    KVT_TRY(const std::string variant, checked_variant(options, {"chat", "text"}, Known::length));
    if (options.length <= 0) {
        return Error{
            fmt::format("{}: needs a length in tokens, prompt and answer together: 4096, 8192, up to 131072", options.name)};
    }
    if (!options.count_tokens) return Error{fmt::format("{}: needs a model, to count tokens", options.name)};
    TaskHeader header = task_header(options, variant, kDefaultItems, new_tokens);
    if (options.limit > 0) header.n_items = options.limit;  // generated: there are always more
    return header;
}

}  // namespace kvt::tasks
