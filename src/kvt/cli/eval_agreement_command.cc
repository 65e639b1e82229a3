// kvtuner eval agreement: how long greedy answers of plans are those of f16.
#include <memory>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/base/shipped_data.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/eval_text.h"
#include "kvt/cli/prompts.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/cores.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/harness/agreement.h"

namespace kvt::cli {

namespace {

constexpr const char * kDefaultText = "wikitext2/wiki.valid.head.raw";

struct Options {
    AgreementOptions run;
    PlanArguments    plans;
    std::string      model, prompts, output, plugin;
    int              n_prompts = 32, prompt_tokens = 64;
    bool             json = false;
};

using Prompts = std::vector<std::vector<Token>>;

// Prompts of the user's file as they stand, or pieces of the shipped text.
Result<Prompts> load(const Options & o, const ModelRunner & model, AgreementOptions & run) {
    KVT_TRY(const std::string path, given_or_shipped(o.prompts, kDefaultText));
    KVT_TRY(run.data_sha256, sha256_file(path));
    run.data_name = file_name(path);
    if (o.prompts.empty()) {
        KVT_TRY(const std::string text, read_file(path));
        KVT_TRY(const auto tokens, model.tokenize(text, AddSpecial::no));
        return cut_prompts(model, tokens, o.n_prompts, o.prompt_tokens);
    }
    Prompts prompts;
    KVT_TRY(const auto texts, load_prompts(path, o.n_prompts));
    for (const std::string & text : texts) {
        KVT_TRY(auto tokens, model.tokenize(text, AddSpecial::yes));
        prompts.push_back(std::move(tokens));
    }
    if (static_cast<int>(prompts.size()) < o.n_prompts)
        run.warnings.push_back(
            fmt::format("{} holds {} prompts, fewer than the {} asked for", path, prompts.size(), o.n_prompts));
    return prompts;
}

Result<int> agreement(const Options & o) {
    AgreementOptions run = o.run;
    KVT_TRY(const ModelInfo info, read_model_info(o.model));
    KVT_TRY(run.plans, load_plan_arguments(o.plans, info));
    KVT_TRY(const auto model, open_model(o.model, {o.plugin, UsePlugin::required, o.run.n_threads}));
    run.n_threads    = run.n_threads > 0 ? run.n_threads : usable_cores();
    run.tool_version = tool_version();
    KVT_TRY(const auto prompts, load(o, *model, run));
    TerminalProgress progress;
    KVT_TRY(const AgreementRecord record, measure_agreement(*model, prompts, run, progress));
    const std::string json = write_record(record);
    if (!o.output.empty()) {
        KVT_CHECK_OK(write_file_atomic(o.output, json));
    }
    fmt::print("{}", o.json ? json : agreement_text(record));
    return 0;
}

}  // namespace

void add_eval_agreement(CLI::App & eval, Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = eval.add_subcommand("agreement", "Greedy tokens until a plan first differs from the f16 cache");
    app->add_option("-m,--model", o->model, "GGUF model")->required();
    plan_options(*app, o->plans)->required()->allow_extra_args(false);
    app->add_option("--prompts", o->prompts,
                    "Prompts: a .jsonl file, or the paragraphs of a text; default: pieces of WikiText-2 validation");
    app->add_option("-n,--n-prompts", o->n_prompts, "Prompts to use")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app->add_option("--prompt-tokens", o->prompt_tokens, "Length of the pieces of the default text")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app->add_option("-l,--tokens", o->run.n_tokens, "Tokens to generate")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app->add_option("--parallel", o->run.n_slots, "Answers generated side by side")
        ->check(CLI::Range(1, 128))
        ->capture_default_str();
    threads_option(*app, o->run.n_threads);
    force_option(*app, o->plans.force);
    plugin_option(*app, o->plugin);
    app->add_flag("--json", o->json, "Print the record as JSON");
    app->add_option("-o,--output", o->output, "Also write the record to this file");
    app->footer(
        R"(The first row is the noise floor: an f16 cache through the plugin's kernels, another correct way to compute the same.
A plan at the floor cannot be told from f16 by this measure.
Example:
  kvtuner eval agreement -m model.gguf --plan tuned/plan.json --plan kivi:KV4
)");
    app->callback([&commands, o] { commands.action = [o] { return agreement(*o); }; });
}

}  // namespace kvt::cli
