// HumanEval: 164 Python functions to complete, each with checks.
#pragma once

#include <memory>

#include "kvt/base/result.h"
#include "kvt/tasks/task.h"

namespace kvt {

// --- Interface ---

constexpr double kHumanEvalSeconds = 3;

// options.data: one file. Variants: "completion" (the default: the prompt as it stands, for base models) and "chat" (one user
// turn; the last code block of the response is the answer). Errors: not one file, a broken row, a repeated task_id, another
// variant, with consent those of the sandbox.
Result<std::unique_ptr<Task>> open_humaneval(const TaskOptions & options);

}  // namespace kvt
