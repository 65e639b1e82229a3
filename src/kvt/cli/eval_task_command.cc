// kvtuner eval TASK: benchmark scores of plans beside f16, or of a server.
#include <memory>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/eval_lanes.h"
#include "kvt/cli/task_text.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/cores.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/harness/compare.h"

namespace kvt::cli {

namespace {

struct Options {
    TaskOptions   task;
    LaneOptions   lanes;
    PlanArguments plans;
    std::string   model, plugin;
    double        margin     = 1;  // points
    bool          likelihood = false, retry = false, no_reference = false, json = false;
};

// Loads the weights when they are first needed, so that a wrong option costs no time.
class Model {
public:
    explicit Model(const Options & o) : o_(o) {}

    Result<ModelRunner *> get() {
        if (runner_ == nullptr) {
            const UsePlugin use = !o_.lanes.server.empty() ? UsePlugin::never
                                  : o_.plans.texts.empty() ? UsePlugin::if_found
                                                           : UsePlugin::required;
            KVT_TRY(runner_, open_model(o_.model, {use == UsePlugin::never ? "" : o_.plugin, use, o_.lanes.n_threads}));
        }
        return runner_.get();
    }

private:
    const Options &              o_;
    std::unique_ptr<ModelRunner> runner_;
};

Status check(const Options & o) {
    if (o.model.empty() && o.lanes.server.empty()) return Error{"give -m MODEL, or --server URL"};
    if (o.lanes.server.empty()) return ok_status();
    if (!o.plans.texts.empty()) return Error{"--plan and --server exclude each other: a server has the plan it was started with"};
    if (o.likelihood)
        return Error{"--likelihood and --server exclude each other: a server tells no log-likelihoods of given texts"};
    return ok_status();
}

Result<std::vector<NamedPlan>> load_plans(const Options & o) {
    if (o.plans.texts.empty()) return std::vector<NamedPlan>{};
    KVT_TRY(const ModelInfo info, read_model_info(o.model));
    return load_plan_arguments(o.plans, info);
}

Status print(const Options & o, const std::vector<TaskRecord> & records) {
    std::vector<RunComparison> comparisons;
    for (size_t i = 1; i < records.size(); ++i) {
        KVT_TRY(RunComparison c, compare_records(records[0], records[i]));
        comparisons.push_back(std::move(c));
    }
    if (o.json) {
        Json out{{"schema", "kvtuner.eval.runs"}, {"schema_version", 1}};
        out["runs"] = Json::array();
        for (const TaskRecord & r : records)
            out["runs"].push_back({{"record", r.path}, {"header", r.header}, {"summary", r.summary}});
        out["comparisons"] = Json::array();
        for (const RunComparison & c : comparisons) out["comparisons"].push_back(to_json(c, o.margin / 100));
        print_json(out);
        return ok_status();
    }
    fmt::print("{}", runs_text(records));
    for (const RunComparison & c : comparisons) fmt::print("{}", comparison_text(c, o.margin / 100));
    return ok_status();
}

Result<int> eval_task(Options o) {
    KVT_CHECK_OK(check(o));
    KVT_TRY(o.lanes.plans, load_plans(o));
    Model model(o);
    if (!o.model.empty()) {
        o.task.count_tokens = [&model, &o](const TaskItem & item) -> Result<int> {
            KVT_TRY(const ModelRunner * runner, model.get());
            return count_tokens(*runner, item, o.lanes.chat_template);
        };
    }
    o.task.seed = o.lanes.run.seed;
    KVT_TRY(const auto task, open_task(o.task));
    AnswerOptions & answers = o.lanes.run.answers;
    answers.stops           = task->header().stops;
    answers.max_new_tokens  = task->header().max_new_tokens;
    // A task without an answer length has nothing to generate.
    answers.mode      = o.likelihood || answers.max_new_tokens == 0 ? AnswerMode::likelihood : AnswerMode::generate;
    o.lanes.run.retry = o.retry ? RetryErrors::yes : RetryErrors::no;
    o.lanes.reference = o.no_reference ? Reference::skip : Reference::run;
    o.lanes.n_threads = o.lanes.n_threads > 0 ? o.lanes.n_threads : usable_cores();
    TerminalProgress progress;
    ModelRunner *    runner = nullptr;
    Render           render = [](const TaskItem & item) -> Result<Prompt> { return turns_prompt(item); };
    if (!o.model.empty()) {
        KVT_TRY(runner, model.get());
        render = [&](const TaskItem & item) { return render_prompt(*runner, item, o.lanes.chat_template); };
    }
    KVT_TRY(const TaskPrompts prompts, load_items(*task, render, progress));
    KVT_TRY(const auto records, run_lanes(*task, prompts, runner, o.lanes, progress));
    KVT_CHECK_OK(print(o, records));
    return 0;
}

void task_options(CLI::App * app, const std::shared_ptr<Options> & o) {
    app->add_option("task", o->task.name, "Benchmark to run, such as gsm8k");
    app->add_option("-m,--model", o->model, "GGUF model");
    plan_options(*app, o->plans)->allow_extra_args(false);
    app->add_option("--server", o->lanes.server, "Ask this OpenAI-compatible server instead of the engine in this program");
    app->add_option("--server-timeout", o->lanes.server_timeout, "Seconds that one answer of the server may take")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app->add_option("--variant", o->task.variant, "Form of the prompt; default: the task's own");
    app->add_option("--data", o->task.data, "Data file of the task, where it has to be the user's own; may be repeated")
        ->allow_extra_args(false);
    app->add_option("--limit", o->task.limit, "Only the first N items; 0: all")
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
    app->add_option("--shots", o->task.shots, "Worked examples in the prompt; default: the task's own")
        ->check(CLI::Range(0, 1000));
    app->add_option("--length", o->task.length, "Tokens of prompt and answer, for tasks that make their own texts")
        ->check(CLI::Range(0, 1 << 24));
    app->add_option("--window", o->task.window, "Dates of the problems, such as 2025-01..2025-04");
    app->add_option("--max-new-tokens", o->task.max_new_tokens, "Longest answer; default: the task's own")
        ->check(CLI::Range(1, 1 << 24));
    app->add_flag("--likelihood", o->likelihood, "Measure the log-likelihood of the reference answers instead of generating");
    app->add_flag("--allow-code-execution", o->task.allow_code_execution, "Let tasks run the programs that the model writes");
}

void run_options(CLI::App * app, const std::shared_ptr<Options> & o) {
    Sampling & s = o->lanes.run.answers.sampling;
    app->add_option("--samples", o->lanes.run.n_samples, "Answers per item")
        ->check(CLI::Range(1, 1 << 16))
        ->capture_default_str();
    app->add_option("--temperature", s.temperature, "0: greedy")->check(CLI::Range(0.0, 100.0))->capture_default_str();
    app->add_option("--top-p", s.top_p, "Share of the probability that tokens are drawn from")
        ->check(CLI::Range(1e-6, 1.0))
        ->capture_default_str();
    app->add_option("--top-k", s.top_k, "Draw from the K likeliest tokens; 0: off")
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
    app->add_option("--seed", o->lanes.run.seed, "Seed of items and draws")->capture_default_str();
    app->add_option("--parallel", o->lanes.n_slots, "Answers generated side by side")
        ->check(CLI::Range(1, 128))
        ->capture_default_str();
    app->add_option("-c,--ctx", o->lanes.n_ctx, "Tokens of one prompt and answer; 0: as many as the items need")
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
    batch_options(*app, o->lanes.n_batch, o->lanes.n_ubatch);
    threads_option(*app, o->lanes.n_threads);
    app->add_option("--chat-template", o->lanes.chat_template,
                    "Name or text of a chat template that llama.cpp knows; default: the model's own");
    margin_option(*app, o->margin);
    app->add_option("-o,--out", o->lanes.out, "Folder of the records; an unfinished run goes on there")
        ->default_val("kvtuner-eval");
    app->add_flag("--retry-errors", o->retry, "Ask again where a record has an error");
    app->add_flag("--no-reference", o->no_reference,
                  "Do not run the stock f16 cache; the first plan is what others are compared with");
    force_option(*app, o->plans.force);
    plugin_option(*app, o->plugin);
    app->add_flag("--json", o->json, "Print runs and comparisons as JSON");
}

}  // namespace

void add_eval_task(CLI::App & eval, Commands & commands) {
    auto o = std::make_shared<Options>();
    task_options(&eval, o);
    run_options(&eval, o);
    eval.callback([&eval, &commands, o] {
        if (!eval.get_subcommands().empty()) return;
        if (o->task.name.empty()) throw CLI::RequiredError("a task such as gsm8k, or one of kld, ppl, agreement, compare");
        commands.action = [o] { return eval_task(*o); };
    });
}

}  // namespace kvt::cli
