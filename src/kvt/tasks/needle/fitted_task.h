// A retrieval task whose haystack is as long as the wanted number of tokens allows (evaluation.md section 7).
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "kvt/tasks/common.h"

namespace kvt::tasks {

// --- Interface ---

inline constexpr int kDepths       = 40;  // places a single needle takes in turn
inline constexpr int kDefaultItems = 40;

class FittedTask : public BasicTask {
public:
    FittedTask(TaskHeader header, const TaskOptions & options) : BasicTask(std::move(header)), options_(options) {}

protected:
    // The item with `units` units of haystack; its text in turns[0] is the whole question.
    virtual TaskItem                 item_of(size_t index, int units) const = 0;
    virtual std::vector<std::string> references(size_t index) const         = 0;
    virtual int                      max_units() const { return std::numeric_limits<int>::max() / 4; }  // of an endless haystack
    virtual bool                     enough(int units) const { return units > 0; }  // whether the task makes sense with so few

    // The largest number of units for which prompt and new tokens fit, by doubling and halving.
    // Errors: not even the smallest fits; all units of a finite haystack fit and leave tokens unused.
    Result<TaskItem> make_item(size_t index) const override;
    Verdict          grade(size_t index, std::string_view response) const override;

    TaskOptions options_;
};

// Errors: data files were given to a task that reads none.
Status no_data_files(const TaskOptions & options);

// Errors: no length, no way to count tokens. Header with everything but the data.
Result<TaskHeader> fitted_header(const TaskOptions & options, int new_tokens);

}  // namespace kvt::tasks
