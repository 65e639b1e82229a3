#include "kvt/cli/objective_options.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "kvt/base/shipped_data.h"
#include "kvt/harness/prompt.h"
#include "kvt/tuner/task_objective.h"

namespace kvt::cli {

namespace {

constexpr const char * kTrainHead = "gsm8k/train.head.jsonl";
constexpr int          kFirstItem = 20;           // rows 0 to 19 of GSM8K train are shots and prompts of the profile
constexpr uint64_t     kTuneSeed  = 0x74756e65u;  // evaluations begin at 0

// The same task from its item `first` on.
class LaterItems final : public Task {
public:
    LaterItems(std::unique_ptr<Task> whole, int first) : whole_(std::move(whole)), header_(whole_->header()), first_(first) {
        header_.n_items -= first;
    }
    const TaskHeader & header() const override { return header_; }
    Result<TaskItem>   item(int index) const override { return whole_->item(first_ + index); }
    Verdict score(int index, std::string_view response) const override { return whole_->score(first_ + index, response); }

private:
    std::unique_ptr<Task> whole_;
    TaskHeader            header_;
    int                   first_;
};

std::string question_of(const TaskItem & item) {
    std::string text = item.text;
    for (const Turn & turn : item.turns) text += turn.text + "\n";
    return text;
}

// The user may have named the test split, or a part of it.
Status refuse_test_items(const Task & task, TaskOptions options) {
    options.data.clear();
    options.limit = 0;
    KVT_TRY(const auto tests, open_task(options));
    std::set<std::string> known;
    for (int i = 0; i < tests->header().n_items; ++i) {
        KVT_TRY(const TaskItem item, tests->item(i));
        known.insert(question_of(item));
    }
    for (int i = 0; i < task.header().n_items; ++i) {
        KVT_TRY(const TaskItem item, task.item(i));
        if (!known.contains(question_of(item))) continue;
        return Error{
            fmt::format("item {} of {} is in the test split of {}, and what is tuned on cannot be reported on: name a file "
                        "of training items",
                        item.id, task.header().data_name, options.name)};
    }
    return ok_status();
}

Error test_split_only(const std::string & task) {
    return Error{
        fmt::format("--objective {}: it has a test split only, and what is tuned on cannot be reported on; use gsm8k (train "
                    "split), a generated "
                    "task such as niah_multikey_2, math500 with training items of your own (--task-data), or kld",
                    task)};
}

}  // namespace

void objective_options(CLI::App * app, ObjectiveOptions & o) {
    app->add_option("--objective", o.name,
                    "What is made small besides bits: kld (of next-token distributions from the f16 cache's), or a task such as "
                    "gsm8k (what is lost against f16 on items of its train split)")
        ->capture_default_str();
    app->add_option(
           "--score", o.score,
           "Of a task: accuracy (generated answers, as in the paper) or loglik (of the reference answers; far fewer items)")
        ->check(CLI::IsMember({"accuracy", "loglik"}))
        ->capture_default_str();
    app->add_option("--task-items", o.n_items, "Items of the task; 0: 200, for loglik 24")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    app->add_option("--task-shots", o.shots, "Worked examples in its prompts; default: the task's own")->check(CLI::Range(0, 20));
    app->add_option("--task-data", o.data, "Training items of the task, in the format of its test file");
    app->add_option("--task-length", o.length, "Tokens of prompt and answer, for tasks that make their own texts")
        ->check(CLI::Range(1, 1 << 24));
    app->add_option("--max-new-tokens", o.max_new_tokens, "Longest answer of a task")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
}

Result<std::shared_ptr<const Task>> open_tuning_task(const ObjectiveOptions & o, const ModelRunner & model, TuningItems items) {
    TaskOptions options;
    options.name           = o.name;
    options.max_new_tokens = o.max_new_tokens;
    options.shots          = o.shots;
    options.length         = o.length;
    options.seed           = kTuneSeed;
    options.count_tokens   = [&model](const TaskItem & item) { return count_tokens(model, item, ""); };
    const auto names       = task_names();
    if (std::find(names.begin(), names.end(), o.name) == names.end()) {
        KVT_CHECK_OK(open_task(options));  // says which tasks there are
    }
    const bool generated = makes_own_items(o.name);
    if (generated && !o.data.empty()) return Error{fmt::format("--task-data: {} makes its own texts", o.name)};
    if (o.name != "gsm8k" && !generated && !(o.name == "math500" && !o.data.empty())) return test_split_only(o.name);
    int first = items == TuningItems::others ? o.items() : 0;
    if (!generated) {
        KVT_TRY(const std::string path, given_or_shipped(o.data, kTrainHead));
        options.data = {path};
        if (o.name == "gsm8k") first += kFirstItem;
    }
    options.limit = first + o.items();
    KVT_TRY(auto whole, open_task(options));
    if (whole->header().n_items < options.limit) {
        return Error{
            fmt::format("--task-items {}: {} has {} behind the {} that are used otherwise; ask for fewer, or name a longer "
                        "file with --task-data",
                        o.items(), whole->header().data_name, std::max(0, whole->header().n_items - first), first)};
    }
    if (!generated) KVT_CHECK_OK(refuse_test_items(*whole, options));
    return std::shared_ptr<const Task>(std::make_shared<LaterItems>(std::move(whole), first));
}

Result<ObjectiveSource> objective_source(const ObjectiveOptions & o, const ScoringText & text, const ModelRunner & model,
                                         Progress & progress, TuningItems items) {
    if (o.on_text()) return kld_objective(text);
    KVT_TRY(const auto task, open_tuning_task(o, model, items));
    KVT_TRY(TaskPrompts prompts, load_items(
                                     *task, [&](const TaskItem & item) { return render_prompt(model, item, ""); }, progress));
    TaskScoring scoring;
    scoring.score     = o.score == "loglik" ? TaskScore::loglik : TaskScore::accuracy;
    scoring.n_threads = text.n_threads;
    return task_objective(task, std::make_shared<const TaskPrompts>(std::move(prompts)), scoring);
}

Result<std::string> second_opinion(const ObjectiveOptions & o, const Study & study, const Choice & choice, int n_threads,
                                   ModelRunner & model, Progress & progress) {
    const Evaluation & chosen   = study.evaluations[static_cast<size_t>(choice.evaluation)];
    const auto         interval = [](double low, double high) {
        return std::isnan(low) ? "" : fmt::format(" (95 % {:+.4f} to {:+.4f})", low, high);
    };
    std::string text = fmt::format("{} lost by the chosen plan on the {} items of the search: {:.4f}{}\n", study.objective,
                                   study.n_chunks, chosen.kld, interval(chosen.kld_ci_low, chosen.kld_ci_high));
    ScoringText threads;
    threads.n_threads = n_threads;
    const auto others = objective_source(o, threads, model, progress, TuningItems::others);
    if (!others.ok()) return text + fmt::format("  not judged on other items: {}\n", others.error().message);
    KVT_TRY(const OpenObjective judge, others->open(model, progress));
    KVT_TRY(const ObjectiveScore score, judge.objective->score(plan_of(study, chosen.pairs)));
    return text + fmt::format("  on {} other items: {:.4f}{}\n", judge.n_parts, score.kld, interval(score.ci_low, score.ci_high));
}

}  // namespace kvt::cli
