// The function that opens each task; open_task.cc has the table of their names.
#pragma once

#include <memory>

#include "kvt/base/result.h"
#include "kvt/tasks/task.h"

namespace kvt::tasks {

// --- Interface ---

Result<std::unique_ptr<Task>> open_gsm8k(const TaskOptions & options);
Result<std::unique_ptr<Task>> open_math500(const TaskOptions & options);
Result<std::unique_ptr<Task>> open_aime(const TaskOptions & options);  // aime24, aime25
Result<std::unique_ptr<Task>> open_gpqa(const TaskOptions & options);
Result<std::unique_ptr<Task>> open_needle(const TaskOptions & options);    // niah_*, wiki_*
Result<std::unique_ptr<Task>> open_tracking(const TaskOptions & options);  // vt, fwe

}  // namespace kvt::tasks
