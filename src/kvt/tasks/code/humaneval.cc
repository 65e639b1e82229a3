#include "kvt/tasks/code/humaneval.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/tasks/code/code_block.h"
#include "kvt/tasks/code/code_score.h"
#include "kvt/tasks/code/drivers.h"
#include "kvt/tasks/common.h"
#include "kvt/tasks/json_lines.h"

namespace kvt {

namespace {

constexpr int kPassed              = 42;  // exit code of python/humaneval.py
constexpr int kCompletionNewTokens = 512, kChatNewTokens = 1024;

struct Problem {
    std::string id, prompt, entry_point, solution, test;
};

class HumanEval final : public tasks::ItemTask {
public:
    enum class Variant : uint8_t { completion, chat };

    static Result<std::unique_ptr<Task>> open(const TaskOptions & options, Variant variant) {
        auto task      = std::unique_ptr<HumanEval>(new HumanEval);
        task->variant_ = variant;
        KVT_TRY(const auto paths, tasks::data_files(options, {"humaneval/HumanEval.jsonl"}));
        KVT_TRY(task->sandbox_, sandbox_with_consent(options));
        KVT_CHECK_OK(task->read(paths.front()));
        KVT_CHECK_OK(task->describe(options, paths.front()));
        return std::unique_ptr<Task>(std::move(task));
    }

protected:
    Result<TaskItem> make_item(size_t index) const override {
        const Problem & p = problems_[index];
        TaskItem        item;
        item.id   = p.id;
        item.gold = p.solution;
        if (variant_ == Variant::completion) {
            item.text          = p.prompt;
            item.continuations = {p.solution};
        } else {
            item.turns = {
                {Turn::Role::user, fmt::format("Complete this Python function. Answer with the whole function in one block "
                                               "of code.\n\n```python\n{}\n```\n",
                                               p.prompt)}};
            item.continuations = {fmt::format("```python\n{}{}```", p.prompt, p.solution)};
        }
        return item;
    }

    Verdict judge(size_t index, std::string_view response) const override {
        const Problem &                 p = problems_[index];
        Verdict                         verdict;
        std::optional<std::string_view> code = response;
        if (variant_ == Variant::chat) code = last_code_block(response);
        verdict.extracted = code ? std::string(*code) : std::string(tasks::kInvalid);
        verdict.rule      = !code ? "none" : variant_ == Variant::chat ? "last_block" : "completion";
        if (decided_without_run(verdict, response, code.has_value(), sandbox_.get())) return verdict;
        const bool  whole    = variant_ == Variant::chat && defines_function(*code, p.entry_point);
        std::string solution = whole ? std::string(*code) : p.prompt + std::string(*code);
        solution += fmt::format("\n{}\ncheck({})", p.test, p.entry_point);

        SandboxProgram program;
        program.files        = {{"driver.py", std::string(drivers::humaneval())}, {"solution.py", std::move(solution)}};
        program.wall_seconds = kHumanEvalSeconds;
        const auto outcome   = sandbox_->run(program);
        if (!outcome.ok()) {
            put_unscored(verdict, outcome.error().message);
            return verdict;
        }
        const bool passed = outcome->end == SandboxOutcome::End::exited && outcome->exit_code == kPassed;
        put_verdict(verdict,
                    passed                                              ? CodeVerdict::passed
                    : outcome->end == SandboxOutcome::End::time_limit   ? CodeVerdict::time_limit
                    : outcome->end == SandboxOutcome::End::output_limit ? CodeVerdict::wrong
                                                                        : CodeVerdict::failed,
                    -1);
        return verdict;
    }

private:
    Status read(const std::string & path) {
        KVT_TRY(JsonLines lines, JsonLines::open(path));
        std::map<std::string, std::string> seen;
        while (true) {
            KVT_TRY(const auto row, lines.next());
            if (!row) break;
            Problem p;
            KVT_TRY(p.id, row->text("task_id"));
            KVT_TRY(p.prompt, row->text("prompt"));
            KVT_TRY(p.entry_point, row->text("entry_point"));
            KVT_TRY(p.solution, row->text("canonical_solution"));
            KVT_TRY(p.test, row->text("test"));
            const auto [first, fresh] = seen.emplace(p.id, row->where);
            if (!fresh) return Error{fmt::format("{}: task_id {} stands in {} already", row->where, p.id, first->second)};
            problems_.push_back(std::move(p));
        }
        if (problems_.empty()) return Error{fmt::format("\"{}\" holds no problems", path)};
        return ok_status();
    }

    Status describe(const TaskOptions & options, const std::string & path) {
        const bool chat   = variant_ == Variant::chat;
        header_           = tasks::task_header(options, chat ? "chat" : "completion", problems_.size(),
                                     chat ? kChatNewTokens : kCompletionNewTokens);
        header_.data_name = file_name(path);
        KVT_TRY(header_.data_sha256, sha256_file(path));
        // Where a function has ended, a base model goes on with the next thing of a file.
        if (!chat) header_.stops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
        return ok_status();
    }

    Variant                  variant_ = Variant::completion;
    std::vector<Problem>     problems_;
    std::unique_ptr<Sandbox> sandbox_;
};

}  // namespace

Result<std::unique_ptr<Task>> open_humaneval(const TaskOptions & options) {
    KVT_CHECK_OK(check_code_options(options));
    if (!options.window.empty()) return Error{"humaneval has no date windows"};
    if (options.variant.empty() || options.variant == "completion")
        return HumanEval::open(options, HumanEval::Variant::completion);
    if (options.variant == "chat") return HumanEval::open(options, HumanEval::Variant::chat);
    return Error{fmt::format("humaneval has no variant \"{}\" (known: completion, chat)", options.variant)};
}

}  // namespace kvt
