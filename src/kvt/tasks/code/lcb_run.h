// Runs one program against the tests of one LiveCodeBench problem.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/result.h"
#include "kvt/sandbox/sandbox.h"
#include "kvt/tasks/code/lcb_problem.h"

namespace kvt {

// --- Interface ---

// Upstream's numbers.
enum class CodeVerdict : int8_t { passed = 0, whole_limit = -1, wrong = -2, time_limit = -3, failed = -4 };

struct LcbVerdict {
    CodeVerdict verdict = CodeVerdict::passed;
    int         test    = -1;  // the failing one, 0-based; -1 if none
};

constexpr double kLcbTestSeconds = 6;

// All tests in order up to the first that does not pass (evaluation.md section 6.5). Expected results never enter the sandbox
// together with the program. Errors: those of Sandbox::run; an expected result that is not JSON.
Result<LcbVerdict> run_lcb(const Sandbox & sandbox, const LcbProblem & problem, std::string_view program,
                           double test_seconds = kLcbTestSeconds);

}  // namespace kvt
