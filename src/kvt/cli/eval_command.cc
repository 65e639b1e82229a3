// kvtuner eval kld | ppl, and the door to the other subcommands of eval.
#include <memory>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/base/shipped_data.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/eval_text.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/cores.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/eval/kld.h"
#include "kvt/eval/ppl.h"

namespace kvt::cli {

namespace {

constexpr int          kDefaultChunks = 16;  // 4080 tokens at 512: p99.9 and intervals exist, about a minute for a small model
constexpr const char * kDefaultText   = "wikitext2/wiki.test.head.raw";

struct Options {
    std::string      model, text, base, output, plugin;
    PlanArguments    plans;
    std::vector<int> n_ctx{512};
    int              chunks = kDefaultChunks, n_batch = 512, n_ubatch = 512, threads = 0, resamples = kDefaultResamples;
    uint64_t         seed   = 1;
    bool             decode = false, no_floors = false, json = false;
};

// Copies of these files with other line ends or blank lines give other token counts (evaluation.md 1.1).
struct KnownText {
    const char * suffix;
    const char * sha256;
};
constexpr KnownText kKnownTexts[] = {
    {"wiki.test.raw", "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"},
    {"wiki.valid.raw", "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7"},
};

Result<KldOptions> kld_options(const Options & o, const ModelInfo & model) {
    KldOptions k;
    KVT_TRY(k.plans, load_plan_arguments(o.plans, model));
    k.tool_version = tool_version();
    k.max_chunks   = o.chunks;
    k.n_batch      = o.n_batch;
    k.n_ubatch     = o.n_ubatch;
    k.n_threads    = o.threads > 0 ? o.threads : usable_cores();
    k.mode         = o.decode ? EvalMode::decode : EvalMode::batch;
    k.floors       = o.no_floors ? Floors::skip : Floors::measure;
    k.long_context = o.plans.force ? LongContext::allow : LongContext::refuse;
    k.seed         = o.seed;
    k.resamples    = o.resamples;
    return k;
}

// The text to measure on, its name and hash into `k`.
Result<std::string> load_text(const Options & o, KldOptions & k) {
    KVT_TRY(const std::string path, given_or_shipped(o.text, kDefaultText));
    KVT_TRY(std::string text, read_file(path));
    if (text.empty()) return Error{fmt::format("the text {} is empty", path)};
    k.data_name   = file_name(path);
    k.data_sha256 = sha256_hex(text);
    for (const KnownText & known : kKnownTexts) {
        if (path.ends_with(known.suffix) && k.data_sha256 != known.sha256) {
            k.warnings.push_back(
                fmt::format("{} is not the usual file of that name (SHA-256 {}...): figures do not compare with others", path,
                            k.data_sha256.substr(0, 12)));
        }
    }
    return text;
}

Result<std::vector<Token>> load_tokens(const Options & o, const ModelRunner & model, KldOptions & k) {
    KVT_TRY(const std::string text, load_text(o, k));
    return model.tokenize(text, AddSpecial::yes);
}

// One record, or an array of one for each context length.
template <class Record>
Result<int> hand_over(const Options & o, const std::vector<Record> & records, std::string (*as_text)(const Record &)) {
    std::string json, text;
    for (const Record & record : records) {
        json += (json.empty() ? "" : ",\n") + write_record(record);
        text += (text.empty() ? "" : "\n") + as_text(record);
    }
    if (records.size() > 1) json = "[\n" + json + "]\n";
    if (!o.output.empty()) {
        KVT_CHECK_OK(write_file_atomic(o.output, json));
    }
    fmt::print("{}", o.json ? json : text);
    return 0;
}

template <class Record>
Result<int> measure(const Options & o, ModelRunner & model, KldOptions k, Progress & progress,
                    Result<Record> (*evaluate)(ModelRunner &, std::span<const Token>, const KldOptions &, Progress &),
                    std::string (*as_text)(const Record &)) {
    KVT_TRY(const auto tokens, load_tokens(o, model, k));
    std::vector<Record> records;
    for (const int n_ctx : o.n_ctx) {
        k.n_ctx = n_ctx;
        KVT_TRY(Record record, evaluate(model, tokens, k, progress));
        records.push_back(std::move(record));
    }
    return hand_over(o, records, as_text);
}

Result<int> eval_kld(const Options & o) {
    if (o.plans.texts.empty() && o.base.empty())
        return Error{"give at least one --plan (a file, or for example kivi:K4V2), or --logits-base"};
    KVT_TRY(const auto model,
            open_model(o.model, {o.plugin, o.plans.texts.empty() ? UsePlugin::if_found : UsePlugin::required, o.threads}));
    KVT_TRY(KldOptions k, kld_options(o, model->info()));
    TerminalProgress progress;
    if (!o.base.empty()) {
        KVT_TRY(KlBaseFile base, KlBaseFile::open(o.base));
        k.data_name = "tokens of the base file";
        KVT_TRY(KldRecord record, evaluate_kld_base(*model, base, k, progress));
        return hand_over(o, std::vector{std::move(record)}, kld_text);
    }
    return measure(o, *model, std::move(k), progress, evaluate_kld, kld_text);
}

Result<int> eval_ppl(const Options & o) {
    KVT_TRY(const auto model,
            open_model(o.model, {o.plugin, o.plans.texts.empty() ? UsePlugin::if_found : UsePlugin::required, o.threads}));
    KVT_TRY(KldOptions k, kld_options(o, model->info()));
    TerminalProgress progress;
    return measure(o, *model, std::move(k), progress, evaluate_ppl, ppl_text);
}

void common_options(CLI::App * app, const std::shared_ptr<Options> & o) {
    app->add_option("-m,--model", o->model, "GGUF model")->required();
    plan_options(*app, o->plans);
    app->add_option("--text", o->text, "Text file to measure on; default: the head of WikiText-2 test that comes with kvtuner");
    app->add_option("-c,--ctx", o->n_ctx, "Tokens per chunk; several lengths as 512,4096")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::Range(4, 1 << 24))
        ->capture_default_str();
    app->add_option("--chunks", o->chunks, "Chunks to measure, 0 for the whole text")
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
    batch_options(*app, o->n_batch, o->n_ubatch);
    threads_option(*app, o->threads);
    app->add_option("--seed", o->seed, "Seed of the chunk bootstrap")->capture_default_str();
    app->add_option("--resamples", o->resamples, "Draws of the chunk bootstrap")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    app->add_flag("--decode", o->decode, "Feed the second half of each chunk token by token, as generation does");
    app->add_flag("--force", o->plans.force,
                  "Accept a plan made for another file of the same shape, and contexts beyond the trained length");
    plugin_option(*app, o->plugin);
    app->add_flag("--json", o->json, "Print the record as JSON");
    app->add_option("-o,--output", o->output, "Also write the record to this file");
}

}  // namespace

void add_eval(Commands & commands) {
    auto       o    = std::make_shared<Options>();
    CLI::App * eval = commands.app.add_subcommand("eval", "Measure what a plan costs in quality");
    eval->require_subcommand(0, 1);
    eval->footer(
        R"(Without a subcommand, TASK is a benchmark: its items are answered under the stock f16 cache and under every plan, scored, and
compared pair by pair. Answers go to records that an interrupted run goes on with.
Examples:
  kvtuner eval gsm8k -m model.gguf --plan tuned/plan.json --limit 100
  kvtuner eval gsm8k --server http://127.0.0.1:8080 -m model.gguf --limit 100
  kvtuner eval kld -m model.gguf --plan tuned/plan.json --plan kivi:KV4
  kvtuner eval ppl -m model.gguf --plan per-token:K8V4 --text book.txt --chunks 0
  kvtuner eval agreement -m model.gguf --plan tuned/plan.json
)");

    CLI::App * kld = eval->add_subcommand("kld", "KL divergence from the f16 cache on the same tokens, beside its noise floor");
    common_options(kld, o);
    kld->add_flag("--no-floors", o->no_floors, "Skip the noise floors (three more runs of the reference)");
    kld->add_option("--logits-base", o->base,
                    "Reference from a file of llama-perplexity --kl-divergence-base (its tokens, its rule)")
        ->excludes("--text");
    kld->footer(
        R"(Mean, median and tail of KL(f16 || plan) in nats over the second half of each chunk; intervals are from whole chunks.
A plan "at the noise floor" cannot be told from another correct f16 kernel on these tokens.
Examples:
  kvtuner eval kld -m model.gguf --plan kivi:KV8 --plan kivi:KV4 --plan kivi:K4V2
  kvtuner eval kld -m model.gguf --plan tuned/plan.json --ctx 512,4096 --chunks 8 --json -o kld.json
  kvtuner eval kld -m model.gguf --logits-base base.kld --plan tuned/plan.json
)");
    kld->callback([&commands, o] { commands.action = [o] { return eval_kld(*o); }; });

    CLI::App * ppl = eval->add_subcommand("ppl", "Perplexity of the f16 cache and of plans");
    common_options(ppl, o);
    ppl->footer(R"(Perplexity can improve while the distribution has moved far away: trust eval kld first.
Example:
  kvtuner eval ppl -m model.gguf --plan kivi:KV4 --chunks 32
)");
    ppl->callback([&commands, o] { commands.action = [o] { return eval_ppl(*o); }; });
    add_eval_agreement(*eval, commands);
    add_eval_compare(*eval, commands);
    add_eval_task(*eval, commands);
}

}  // namespace kvt::cli
