#include "kvt/tasks/code/code_score.h"

#include <fmt/format.h>

#include "kvt/base/utf8.h"

namespace kvt {

void put_verdict(Verdict & verdict, CodeVerdict code, int test) {
    verdict.scores = {{"pass@1", code == CodeVerdict::passed ? 1.0 : 0.0}};
    verdict.flags.push_back(fmt::format("verdict={}", static_cast<int>(code)));
    if (test >= 0) verdict.flags.push_back(fmt::format("failed_test={}", test));
}

bool decided_without_run(Verdict & verdict, std::string_view response, bool has_program, const Sandbox * sandbox) {
    if (!is_utf8(response) || response.find('\0') != std::string_view::npos) verdict.flags.emplace_back("bad_utf8");
    if (!has_program) verdict.flags.emplace_back("no_answer");
    if (!verdict.flags.empty()) {
        put_verdict(verdict, CodeVerdict::failed, -1);
        return true;
    }
    if (sandbox == nullptr) verdict.flags.emplace_back(kUnscored);
    return sandbox == nullptr;
}

void put_unscored(Verdict & verdict, const std::string & why) {
    verdict.flags.emplace_back(kUnscored);
    verdict.error = why;
}

Status check_code_options(const TaskOptions & options) {
    if (options.shots > 0)
        return Error{fmt::format("task {}: {} shots were asked for, it has none", options.name, options.shots)};
    if (options.limit < 0) return Error{fmt::format("task {}: the limit is {}, expected 0 or more", options.name, options.limit)};
    if (options.max_new_tokens < 0)
        return Error{fmt::format("task {}: {} new tokens, expected 0 or more", options.name, options.max_new_tokens)};
    return ok_status();
}

Result<std::unique_ptr<Sandbox>> sandbox_with_consent(const TaskOptions & options) {
    if (!options.allow_code_execution) return std::unique_ptr<Sandbox>();
    KVT_TRY(Sandbox sandbox, Sandbox::open());
    return std::make_unique<Sandbox>(std::move(sandbox));
}

}  // namespace kvt
