// The rows of LiveCodeBench's files that lie in a date window.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/tasks/code/lcb_problem.h"
#include "kvt/tasks/code/lcb_window.h"

namespace kvt {

// --- Interface ---

struct LcbFileCount {
    std::string path;
    int64_t     rows = 0, kept = 0;
};

// Calls `use` for every row in the window and `after_file` behind each file, in order.
// Errors: those of the rows, a repeated question_id, what `use` returns, "interrupted".
Result<std::vector<LcbFileCount>> read_lcb_files(
    const std::vector<std::string> & paths, const LcbWindow & window, const std::function<Status(LcbHead, const JsonRow &)> & use,
    const std::function<void()> & after_file = [] {});

int64_t all_rows(const std::vector<LcbFileCount> & files);

}  // namespace kvt
