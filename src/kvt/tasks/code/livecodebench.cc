#include "kvt/tasks/code/livecodebench.h"

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/tasks/code/code_block.h"
#include "kvt/tasks/code/code_score.h"
#include "kvt/tasks/code/lcb_files.h"
#include "kvt/tasks/common.h"

namespace kvt {

namespace {

constexpr int kDefaultNewTokens = 4096;

struct Entry {
    LcbHead     head;
    std::string prompt, path;
    uint64_t    offset = 0;
    int64_t     line   = 0;
};

// evaluation.md section 6.4.
std::string prompt_of(const LcbProblem & problem) {
    std::string text = fmt::format(
        "You will be given a question (problem specification) and will generate a correct Python program that matches the "
        "specification and passes all tests.\n\nQuestion: {}\n\n",
        problem.statement);
    if (!problem.starter_code.empty()) {
        return text + fmt::format(
                          "You will use the following starter code to write the solution to the problem and enclose your "
                          "code within delimiters.\n```python\n{}\n```\n\n",
                          problem.starter_code);
    }
    return text +
           "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
           "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
           "inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n";
}

class LiveCodeBench final : public tasks::ItemTask {
public:
    static Result<std::unique_ptr<Task>> open(const TaskOptions & options) {
        auto task = std::unique_ptr<LiveCodeBench>(new LiveCodeBench);
        KVT_TRY(const LcbWindow window, parse_window(options.window));
        KVT_TRY(task->sandbox_, sandbox_with_consent(options));
        KVT_CHECK_OK(task->read_files(options.data, window));
        KVT_CHECK_OK(task->describe(options, window));
        return std::unique_ptr<Task>(std::move(task));
    }

protected:
    Result<TaskItem> make_item(size_t index) const override {
        const Entry & entry = entries_[index];
        TaskItem      item;
        item.id     = entry.head.id;
        item.turns  = {{Turn::Role::user, entry.prompt}};
        item.groups = {{"difficulty", entry.head.difficulty}, {"platform", entry.head.platform}};
        return item;
    }

    Verdict judge(size_t index, std::string_view response) const override {
        Verdict    verdict;
        const auto program = last_code_block(response);
        verdict.extracted  = program ? std::string(*program) : std::string(tasks::kInvalid);
        verdict.rule       = program ? "last_block" : "none";
        if (decided_without_run(verdict, response, program.has_value(), sandbox_.get())) return verdict;
        const auto run = run_program(index, *program);
        if (run.ok()) {
            put_verdict(verdict, run->verdict, run->test);
        } else {
            put_unscored(verdict, run.error().message);
        }
        return verdict;
    }

private:
    Result<LcbVerdict> run_program(size_t index, std::string_view program) const {
        const Entry & entry = entries_[index];
        KVT_TRY(const JsonRow row, JsonLines::read_again(entry.path, entry.offset, entry.line));
        KVT_TRY(const LcbProblem problem, lcb_problem(row));
        return run_lcb(*sandbox_, problem, program);
    }

    Status read_files(const std::vector<std::string> & paths, const LcbWindow & window) {
        if (paths.empty()) {
            return Error{
                "livecodebench needs its files: test.jsonl to test6.jsonl of livecodebench/code_generation_lite (Hugging Face), "
                "or "
                "what kvtuner lcb-convert made of them; they may not be passed on, so they do not come with kvtuner"};
        }
        const auto keep = [this](LcbHead head, const JsonRow & row) -> Status {
            KVT_TRY(const LcbProblem problem, lcb_problem(row));
            entries_.push_back({std::move(head), prompt_of(problem), row.path, row.offset, row.line});
            return ok_status();
        };
        KVT_TRY(const auto files, read_lcb_files(paths, window, keep));
        if (all_rows(files) == 0) return Error{fmt::format("\"{}\" holds no problems", paths.front())};
        if (entries_.empty())
            return Error{fmt::format("none of {} problems lies in the window {}", all_rows(files), window.name)};
        return ok_status();
    }

    Status describe(const TaskOptions & options, const LcbWindow & window) {
        header_ = tasks::task_header(options, window.name, entries_.size(), kDefaultNewTokens);
        std::string hashes;
        for (const std::string & path : options.data) {
            KVT_TRY(header_.data_sha256, sha256_file(path));
            header_.data_name += (hashes.empty() ? "" : " ") + file_name(path);
            hashes += header_.data_sha256 + "\n";
        }
        if (options.data.size() > 1) header_.data_sha256 = sha256_hex(hashes);
        const auto found = static_cast<int>(entries_.size());
        header_.warnings.emplace_back(
            "LiveCodeBench's own errata list 17 problems (11 with several valid outputs, 2 interactive, 4 with bad tests); they "
            "stay "
            "in the score");
        if (window.expected > 0 && found != window.expected) {
            header_.warnings.push_back(fmt::format("{} problems lie in the window {}, upstream counts {}: are all files given?",
                                                   found, window.name, window.expected));
        }
        return ok_status();
    }

    std::vector<Entry>       entries_;
    std::unique_ptr<Sandbox> sandbox_;
};

}  // namespace

Result<std::unique_ptr<Task>> open_livecodebench(const TaskOptions & options) {
    KVT_CHECK_OK(check_code_options(options));
    if (!options.variant.empty())
        return Error{
            fmt::format("livecodebench has no variant \"{}\"; a date window is chosen with the window", options.variant)};
    return LiveCodeBench::open(options);
}

}  // namespace kvt
