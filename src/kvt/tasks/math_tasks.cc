// MATH-500 (evaluation.md section 3) and AIME (section 5).
#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/tasks/common.h"
#include "kvt/tasks/jsonl.h"
#include "kvt/tasks/math/equiv.h"
#include "kvt/tasks/math/grade.h"
#include "kvt/tasks/openers.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

struct Problem {
    std::string                        id, problem, answer;
    std::map<std::string, std::string> groups;
};

class MathTask : public BasicTask {
public:
    MathTask(TaskHeader header, std::vector<Problem> problems) : BasicTask(std::move(header)), problems_(std::move(problems)) {}

protected:
    Result<TaskItem> make_item(size_t index) const override {
        const Problem & problem = problems_[index];
        TaskItem        item;
        item.id            = problem.id;
        item.gold          = problem.answer;
        item.groups        = problem.groups;
        item.continuations = {problem.answer};
        if (header_.variant == "base") {
            item.text          = fmt::format("Problem: {}\nAnswer:", problem.problem);
            item.continuations = {" " + problem.answer};
            return item;
        }
        const std::string text =
            header_.variant == "answer_line"
                ? "Solve the following problem. The final line of your response MUST be of the following format:\n\"ANSWER: "
                  "$ANSWER\" "
                  "(without quotes) where $ANSWER is the final answer. Think step by step before answering.\n\n" +
                      problem.problem
                : boxed_prompt(problem.problem);
        item.turns.push_back({Turn::Role::user, text});
        return item;
    }

    const Problem & problem(size_t index) const { return problems_[index]; }

private:
    std::vector<Problem> problems_;
};

class Math500 : public MathTask {
public:
    using MathTask::MathTask;

protected:
    Verdict grade(size_t index, std::string_view response) const override {
        const AnswerLine line = header_.variant == "answer_line" ? AnswerLine::first : AnswerLine::no;
        return grade_math(problem(index).answer, before_stops(response, header_.stops), line);
    }
};

class Aime : public MathTask {
public:
    using MathTask::MathTask;

protected:
    // Boxes only; digits are compared as integers, so "073" is 73.
    Verdict grade(size_t index, std::string_view response) const override {
        const std::string & gold   = problem(index).answer;
        const FinalAnswer   answer = final_answer(response, AnswerLine::no);
        Verdict             verdict;
        if (answer.unclosed) verdict.flags.push_back("unclosed");
        verdict.rule      = "none";
        verdict.extracted = std::string(kInvalid);
        verdict.scores    = {{"correct", 0}};
        if (answer.rule == "dollar" || answer.rule == "whole") return verdict;
        verdict.rule      = std::string(answer.rule);
        verdict.extracted = std::string(answer.text);
        std::string text  = without(without(without(answer.text, " "), "$"), ",");
        if (text.ends_with('.')) text.pop_back();
        const auto number = [](const std::string & t) { return t.substr(std::min(t.find_first_not_of('0'), t.size() - 1)); };
        verdict.scores[0].second =
            is_number(text) ? (number(text) == number(gold) ? 1 : 0) : (is_equiv(gold, answer.text) ? 1 : 0);
        return verdict;
    }
};

Result<Problem> problem_of(const JsonRow & row, const char * id_field) {
    Problem p;
    KVT_TRY(p.id, row.text(id_field));
    KVT_TRY(p.problem, row.text("problem"));
    KVT_TRY(p.answer, row.text("answer"));
    return p;
}

TaskHeader header_of(const TaskOptions & options, const std::string & variant, const JsonlFile & file) {
    TaskHeader header  = task_header(options, variant, file.rows.size(), kReasoningNewTokens);
    header.data_name   = file_name(file.path);
    header.data_sha256 = file.sha256;
    if (variant == "base") header.stops = {"Problem:"};
    return header;
}

}  // namespace

Result<std::unique_ptr<Task>> open_math500(const TaskOptions & options) {
    KVT_TRY(const std::string variant, checked_variant(options, {"boxed", "answer_line", "base"}, Known::nothing));
    KVT_TRY(const auto paths, data_files(options, {"math500/test.jsonl"}));
    KVT_TRY(const JsonlFile file, load_jsonl(paths[0]));
    KVT_CHECK_OK(file.check_unique("unique_id"));
    std::vector<Problem> problems;
    for (const JsonRow & row : file.rows) {
        KVT_TRY(Problem p, problem_of(row, "unique_id"));
        KVT_TRY(p.groups["subject"], row.text("subject"));
        KVT_TRY(const int level, row.integer("level"));
        if (level < 1 || level > 5) return row.error(fmt::format("the field \"level\" is {}, not 1 to 5", level));
        p.groups["level"] = std::to_string(level);
        problems.push_back(std::move(p));
    }
    return std::unique_ptr<Task>(new Math500(header_of(options, variant, file), std::move(problems)));
}

Result<std::unique_ptr<Task>> open_aime(const TaskOptions & options) {
    KVT_TRY(const std::string variant, checked_variant(options, {"boxed"}, Known::nothing));
    const std::string shipped = "aime/" + options.name + ".jsonl";
    KVT_TRY(const auto paths, data_files(options, {shipped}));
    KVT_TRY(const JsonlFile file, load_jsonl(paths[0]));
    KVT_CHECK_OK(file.check_unique("id"));
    std::vector<Problem> problems;
    for (const JsonRow & row : file.rows) {
        KVT_TRY(Problem p, problem_of(row, "id"));
        if (!is_number(p.answer) || p.answer.size() > 3)
            return row.error("the field \"answer\" is not a whole number from 0 to 999");
        problems.push_back(std::move(p));
    }
    return std::unique_ptr<Task>(new Aime(header_of(options, variant, file), std::move(problems)));
}

}  // namespace kvt::tasks
