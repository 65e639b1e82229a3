#include "kvt/tasks/code/lcb_run.h"

#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/stopwatch.h"
#include "kvt/tasks/code/drivers.h"
#include "kvt/tasks/code/output_match.h"

namespace kvt {

namespace {

constexpr double kExpectedSeconds = 60;  // for reading the expected results of a whole problem

// Canonical texts of the expected results of functional tests, one for every test; empty for the others.
Result<std::vector<std::string>> expected_results(const Sandbox & sandbox, const LcbProblem & problem) {
    std::vector<std::string> texts(problem.tests.size());
    std::vector<size_t>      functional;
    nlohmann::json           list = nlohmann::json::array();
    for (size_t i = 0; i < problem.tests.size(); ++i) {
        if (problem.tests[i].kind != LcbTest::Kind::functional) continue;
        functional.push_back(i);
        list.push_back(problem.tests[i].output);
    }
    if (functional.empty()) return texts;
    SandboxProgram program;
    program.files        = {{"expected.py", std::string(drivers::expected())}};
    program.input        = list.dump();
    program.wall_seconds = kExpectedSeconds;
    KVT_TRY(const SandboxOutcome outcome, sandbox.run(program));
    std::string_view rest = outcome.output;
    for (const size_t i : functional) {
        const size_t end = rest.find('\n');
        if (outcome.end != SandboxOutcome::End::exited || outcome.exit_code != 0 || end == std::string_view::npos)
            return Error{fmt::format("question {}: its expected results cannot be read", problem.head.id)};
        texts[i] = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (texts[i] == "!") return Error{fmt::format("question {}: the output of test {} is not JSON", problem.head.id, i)};
    }
    return texts;
}

}  // namespace

Result<LcbVerdict> run_lcb(const Sandbox & sandbox, const LcbProblem & problem, std::string_view program, double test_seconds) {
    KVT_TRY(const std::vector<std::string> expected, expected_results(sandbox, problem));
    const std::string solution = std::string(drivers::prefix()) + std::string(program);
    const double      whole    = (test_seconds + 1) * static_cast<double>(problem.tests.size()) + 5;
    const Stopwatch   watch;
    const auto        is_verdict = [](CodeVerdict verdict, size_t test) { return LcbVerdict{verdict, static_cast<int>(test)}; };
    for (size_t i = 0; i < problem.tests.size(); ++i) {
        const LcbTest & test       = problem.tests[i];
        const bool      functional = test.kind == LcbTest::Kind::functional;
        if (watch.seconds() > whole) return is_verdict(CodeVerdict::whole_limit, i);
        SandboxProgram run;
        run.files.push_back({"driver.py", std::string(functional ? drivers::functional() : drivers::stdin_run())});
        run.files.push_back({"solution.py", solution});
        if (functional) run.files.push_back({"function.txt", problem.function});
        run.input        = test.input;
        run.wall_seconds = test_seconds;
        KVT_TRY(const SandboxOutcome outcome, sandbox.run(run));
        if (outcome.end == SandboxOutcome::End::time_limit) return is_verdict(CodeVerdict::time_limit, i);
        if (outcome.end == SandboxOutcome::End::output_limit) return is_verdict(CodeVerdict::wrong, i);
        if (outcome.exit_code != 0) return is_verdict(CodeVerdict::failed, i);
        const bool right = functional ? outcome.output == expected[i] + "\n" : outputs_match(outcome.output, test.output);
        if (!right) return is_verdict(CodeVerdict::wrong, i);
    }
    return LcbVerdict{};
}

}  // namespace kvt
