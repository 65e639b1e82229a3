// GSM8K: grade-school word problems, scored on the final number (evaluation.md section 2).
#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/tasks/common.h"
#include "kvt/tasks/jsonl.h"
#include "kvt/tasks/math/grade.h"
#include "kvt/tasks/number_text.h"
#include "kvt/tasks/openers.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

constexpr int kNewTokens = 1024;  // upstream's 256 cuts verbose chat models

struct Problem {
    std::string question, answer;
    std::string gold;  // the number behind "#### "
};

// Errors: a missing field, an answer without "#### " and a number.
Result<std::vector<Problem>> problems_of(const JsonlFile & file) {
    std::vector<Problem> problems;
    for (const JsonRow & row : file.rows) {
        KVT_TRY(std::string question, row.text("question"));
        KVT_TRY(std::string answer, row.text("answer"));
        const Found number = first_marked_number(answer);
        if (!number) return row.error("the field \"answer\" has no \"#### \" with a number behind it");
        std::string gold(*number);
        problems.push_back({std::move(question), std::move(answer), std::move(gold)});
    }
    return problems;
}

class Gsm8k : public BasicTask {
public:
    Gsm8k(TaskHeader header, std::vector<Problem> problems, std::vector<Problem> shots)
        : BasicTask(std::move(header)), problems_(std::move(problems)), shots_(std::move(shots)) {}

protected:
    Result<TaskItem> make_item(size_t index) const override {
        const Problem &   problem = problems_[index];
        const std::string variant = header_.variant;
        TaskItem          item;
        item.id            = std::to_string(index);
        item.gold          = problem.gold;
        item.continuations = {variant == "text" ? " " + problem.answer : problem.answer};
        const auto user    = [&](std::string text) { item.turns.push_back({Turn::Role::user, std::move(text)}); };
        if (variant == "text") item.text = few_shot_text(problem);
        if (variant == "cot_zeroshot") item.text = fmt::format("Q: {}\nA: Let's think step by step.", problem.question);
        if (variant == "chat") user(few_shot_text(problem));
        if (variant == "multiturn") {
            for (const Problem & shot : shots_) {
                user(fmt::format("Question: {}\nAnswer:", shot.question));
                item.turns.push_back({Turn::Role::assistant, shot.answer});
            }
            user(fmt::format("Question: {}\nAnswer:", problem.question));
        }
        if (variant == "llama") {
            user(fmt::format(
                "Given the following problem, reason and give a final answer to the problem.\nProblem: {}\nYour response "
                "should end with \"The final answer is [answer]\" where [answer] is the response to the problem.\n",
                problem.question));
        }
        if (variant == "reasoning") user(boxed_prompt(problem.question));
        return item;
    }

    Verdict grade(size_t index, std::string_view response) const override {
        const std::string &    gold = problems_[index].gold;
        const std::string_view text = before_stops(response, header_.stops);
        if (header_.variant == "reasoning") return grade_math(normalised_number(gold), text, AnswerLine::no);

        const Found flexible = last_number(text);
        const Found strict   = header_.variant == "cot_zeroshot" ? first_cot_number(text)
                               : header_.variant == "llama"      ? last_llama_number(text)
                                                                 : first_marked_number(text);
        const auto  right    = [&](const Found & found) {
            return found && normalised_number(trimmed(*found)) == normalised_number(gold) ? 1.0 : 0.0;
        };
        Verdict verdict;
        verdict.extracted = std::string(flexible.value_or(kInvalid));
        verdict.rule      = flexible ? "flexible" : "none";
        verdict.scores    = {{"flexible", right(flexible)}, {"strict", right(strict)}};
        return verdict;
    }

private:
    std::string few_shot_text(const Problem & problem) const {
        std::string text;
        for (const Problem & shot : shots_) text += fmt::format("Question: {}\nAnswer: {}\n\n", shot.question, shot.answer);
        return text + fmt::format("Question: {}\nAnswer:", problem.question);
    }

    std::vector<Problem> problems_, shots_;
};

std::vector<std::string> stops_of(const std::string & variant) {
    if (variant == "reasoning") return {};
    const std::string question = variant == "cot_zeroshot" || variant == "llama" ? "Q:" : "Question:";
    return {question, "</s>", "<|im_end|>"};
}

}  // namespace

Result<std::unique_ptr<Task>> open_gsm8k(const TaskOptions & options) {
    KVT_TRY(const std::string variant,
            checked_variant(options, {"text", "chat", "multiturn", "cot_zeroshot", "llama", "reasoning"}, Known::shots));
    const bool zero_shot = variant == "cot_zeroshot" || variant == "llama" || variant == "reasoning";
    if (zero_shot && options.shots > 0) {
        return Error{fmt::format("gsm8k: the variant {} has no shots, {} were asked for", variant, options.shots)};
    }
    const int n_shots = zero_shot ? 0 : options.shots >= 0 ? options.shots : 4;
    KVT_TRY(const auto paths, data_files(options, {"gsm8k/test.jsonl", "gsm8k_train_20.jsonl"}));
    KVT_TRY(const JsonlFile file, load_jsonl(paths[0]));
    KVT_TRY(auto problems, problems_of(file));

    TaskHeader header = task_header(options, variant, problems.size(), variant == "reasoning" ? kReasoningNewTokens : kNewTokens);
    header.data_name  = file_name(file.path);
    header.data_sha256 = file.sha256;
    header.shots       = n_shots;
    header.stops       = stops_of(variant);

    std::vector<Problem> shots;
    if (n_shots > 0) {
        KVT_TRY(const JsonlFile train, load_jsonl(paths[1]));
        KVT_TRY(shots, problems_of(train));
        if (static_cast<size_t>(n_shots) > shots.size()) {
            return Error{
                fmt::format("gsm8k: {} shots were asked for, \"{}\" has {} rows; name a longer train file as second --data",
                            n_shots, train.path, shots.size())};
        }
        shots.resize(static_cast<size_t>(n_shots));
        for (const Problem & shot : shots) {
            for (int i = 0; i < header.n_items; ++i) {
                if (problems[static_cast<size_t>(i)].question == shot.question) {
                    header.warnings.push_back(fmt::format("item {} is one of the shots", i));
                }
            }
        }
        header.data_name += " + " + file_name(train.path);
        header.data_sha256 += " + " + train.sha256;
    }
    return std::unique_ptr<Task>(new Gsm8k(std::move(header), std::move(problems), std::move(shots)));
}

}  // namespace kvt::tasks
