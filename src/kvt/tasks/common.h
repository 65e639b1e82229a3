// What all tasks share: checked options, the files they read, a header that does not change, honest verdicts on damaged text.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/tasks/task.h"

namespace kvt::tasks {

// --- Interface ---

// Items and verdicts with a checked index: error unless 0 <= index < n_items.
class ItemTask : public Task {
public:
    explicit ItemTask(TaskHeader header = {}) : header_(std::move(header)) {}
    const TaskHeader & header() const override { return header_; }
    Result<TaskItem>   item(int index) const override;
    Verdict            score(int index, std::string_view response) const override;

protected:
    virtual Result<TaskItem> make_item(size_t index) const                        = 0;
    virtual Verdict          judge(size_t index, std::string_view response) const = 0;

    TaskHeader header_;
};

// Verdicts on the text alone, finished().
class BasicTask : public ItemTask {
public:
    using ItemTask::ItemTask;

protected:
    Verdict         judge(size_t index, std::string_view response) const override;
    virtual Verdict grade(size_t index, std::string_view response) const = 0;
};

// Options that only some tasks know; the others refuse them.
enum class Known { nothing, shots, length };

// Errors: a variant that is not in `variants` (the first is the default, taken for ""), a negative limit or number of new tokens,
// and shots or a length that this task does not know. Returns the variant.
Result<std::string> checked_variant(const TaskOptions & options, std::initializer_list<std::string_view> variants, Known known);

// The user's files in their order; those not given are the shipped ones of the same place (paths below data/).
// Errors: more files than places, a shipped file that is not there.
Result<std::vector<std::string>> data_files(const TaskOptions & options, std::initializer_list<std::string_view> shipped);

// Name, variant, the number of items (the first options.limit of `n_rows`, 0 all) and of new tokens (the user's, else
// `new_tokens`).
TaskHeader task_header(const TaskOptions & options, const std::string & variant, size_t n_rows, int new_tokens);

// Text before the first of the stop strings.
std::string_view before_stops(std::string_view response, const std::vector<std::string> & stops);

inline constexpr std::string_view kInvalid = "[invalid]";

// Last step of every score(): "no_answer" for [invalid]; a response that is not UTF-8 or holds a NUL is wrong in every score,
// flag "bad_utf8"; the extracted text is made valid and cut to 1000 bytes (evaluation.md section 9).
Verdict finished(Verdict verdict, std::string_view response);

}  // namespace kvt::tasks
