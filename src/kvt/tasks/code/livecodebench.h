// LiveCodeBench code generation on the user's own files, as they come or converted.
#pragma once

#include <memory>

#include "kvt/base/result.h"
#include "kvt/tasks/task.h"

namespace kvt {

// --- Interface ---

// options.data: one file or more, read in order; options.window: a date window (lcb_window.h). Tests are decoded once here, to
// find what is broken, and again for every response: they can take gigabytes.
// Errors: no files, those of the rows (lcb_problem.h), a repeated question_id, an empty window, with consent those of the
// sandbox.
Result<std::unique_ptr<Task>> open_livecodebench(const TaskOptions & options);

}  // namespace kvt
