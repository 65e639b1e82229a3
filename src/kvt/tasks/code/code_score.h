// What the two code tasks share when they turn a run into a verdict.
#pragma once

#include <string>
#include <string_view>

#include "kvt/base/result.h"
#include "kvt/sandbox/sandbox.h"
#include "kvt/tasks/code/lcb_run.h"
#include "kvt/tasks/task.h"

namespace kvt {

// --- Interface ---

// Flag of a response that was not run: its verdict has no scores, which is not a score of 0.
inline constexpr std::string_view kUnscored = "unscored";

// A verdict with "pass@1" and the flags "verdict=-2" and "failed_test=3" (the latter if `test` is not negative).
void put_verdict(Verdict & verdict, CodeVerdict code, int test);

// Extraction is done. Gives the verdict of a response that cannot be run: not UTF-8 or with a NUL, without a program, or without
// consent
// (`sandbox` is null). False: run it.
bool decided_without_run(Verdict & verdict, std::string_view response, bool has_program, const Sandbox * sandbox);

// The sandbox did not work: the response stays unscored.
void put_unscored(Verdict & verdict, const std::string & why);

// Options that no code task has. Errors: shots, a negative limit.
Status check_code_options(const TaskOptions & options);

// With consent the sandbox, tested; without it nothing.
Result<std::unique_ptr<Sandbox>> sandbox_with_consent(const TaskOptions & options);

}  // namespace kvt
