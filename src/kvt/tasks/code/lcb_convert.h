// LiveCodeBench's files as one file of a date window, with the private tests in plain JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/tasks/code/lcb_files.h"
#include "kvt/tasks/code/lcb_window.h"

namespace kvt {

// --- Interface ---

struct LcbCounts {
    std::vector<LcbFileCount>      files;
    int64_t                        kept = 0;
    std::map<std::string, int64_t> difficulty, platform;  // problems
    std::map<std::string, int64_t> problems, tests;       // by test type: problems that have such tests, tests
};

// Reads a row at a time and writes the same fields in the same order, sorted by contest_date, then question_id. The output is
// replaced whole or not at all. Errors: those of lcb_problem.h, a repeated question_id, an empty window, the output is one of the
// inputs, "interrupted".
Result<LcbCounts> convert_livecodebench(const std::vector<std::string> & inputs, const LcbWindow & window,
                                        const std::string & output, Progress & progress);

}  // namespace kvt
