// kvtuner bench.
#include <memory>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/json_text.h"
#include "kvt/base/stopwatch.h"
#include "kvt/cli/bench_run.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/machine.h"
#include "kvt/cli/plan_argument.h"
#include "kvt/cli/table.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt::cli {

namespace {

constexpr int kMaxDepth   = 1 << 20;
constexpr int kMaxThreads = 1024;

struct Options {
    std::string   model, output;
    PlanArguments plans;
    BenchOptions  bench;
    bool          json = false;
};

std::string speed_text(const Speed & s) { return fmt::format("{:.2f} ({:.2f}-{:.2f})", s.median, s.min, s.max); }

void print_table(const Options & o, const ModelInfo & model, const std::vector<BenchRow> & rows) {
    fmt::print(
        "{}: {} repetitions, interleaved; tokens per second as median (min-max), x = against stock f16 in the same "
        "repetition\n\n",
        model.name, o.bench.repetitions);
    Table table({{"depth"},
                 {"cache", Align::left},
                 {"MiB"},
                 {fmt::format("prefill {}", kBenchPrefillTokens)},
                 {"x"},
                 {fmt::format("generate {}", kBenchGenerateTokens)},
                 {"x"}});
    for (const BenchRow & row : rows) {
        table.row({std::to_string(row.depth), row.label, mib_text(row.kv_bytes), speed_text(row.prefill),
                   fmt::format("{:.3f}", row.prefill.ratio), speed_text(row.generation),
                   fmt::format("{:.3f}", row.generation.ratio)});
    }
    fmt::print("{}", table.text());
}

BenchRecord record_of(const Options & o, const ModelInfo & model, std::vector<BenchRow> rows) {
    BenchRecord record;
    record.model           = model.name;
    record.file_sha256     = model.file_sha256;
    record.processor       = find_processor().name;
    record.n_threads       = o.bench.n_threads;
    record.repetitions     = o.bench.repetitions;
    record.prefill_tokens  = kBenchPrefillTokens;
    record.generate_tokens = kBenchGenerateTokens;
    record.rows            = std::move(rows);
    return record;
}

Result<int> bench(const Options & o) {
    EngineOptions engine;
    engine.use_plugin = o.plans.texts.empty() ? UsePlugin::if_found : UsePlugin::required;
    engine.n_threads  = o.bench.n_threads;
    KVT_TRY(const ModelInfo info, read_model_info(o.model));
    std::vector<BenchSubject> subjects{{"f16 (stock)", std::nullopt}};
    // Before the weights are loaded: a wrong plan should not cost that time.
    KVT_TRY(std::vector<NamedPlan> plans, load_plan_arguments(o.plans, info));
    for (NamedPlan & p : plans) subjects.push_back({std::move(p.name), std::move(p.plan)});
    KVT_TRY(const auto runner, open_model(o.model, engine));
    TerminalProgress progress;
    KVT_TRY(auto rows, run_bench(*runner, subjects, o.bench, progress, seconds_now));
    const BenchRecord record = record_of(o, info, std::move(rows));
    if (!o.output.empty()) KVT_CHECK_OK(write_file_atomic(o.output, json_text(bench_json(record), 2, JsonChars::ascii) + "\n"));
    if (o.json) {
        print_json(bench_json(record));
    } else {
        print_table(o, info, record.rows);
    }
    return 0;
}

}  // namespace

void add_bench(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("bench", "Speed of plans beside stock f16, interleaved");
    app->add_option("-m,--model", o->model, "GGUF model")->required();
    app->add_option("--plan", o->plans.texts, "Plan file or short form; may be given several times")->allow_extra_args(false);
    app->add_option("--calibration", o->plans.calibration, "File of kvtuner calibrate, for plans such as rotated:KV4");
    app->add_option("--depth", o->bench.depths, "Tokens already in the cache, for example 0,4096")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::Range(0, kMaxDepth))
        ->capture_default_str();
    app->add_option("-t,--threads", o->bench.n_threads, "Threads; 0: all cores")
        ->check(CLI::Range(0, kMaxThreads))
        ->capture_default_str();
    app->add_option("--reps", o->bench.repetitions, "Timed repetitions")->check(CLI::Range(1, 1000))->capture_default_str();
    app->add_option("-o,--output", o->output, "JSON file to write; as bench.json in the folder of tune, kvtuner report shows it");
    app->add_flag("--force", o->plans.force, "Accept plans made for another file of the same shape");
    app->add_flag("--json", o->json, "Print JSON");
    app->footer(
        R"(Within each repetition every plan runs once, in turn. At each depth the cache is filled first, then 32 tokens are
generated one by one, then 512 are prefilled. Only ratios mean something across machines and days.

Examples:
  kvtuner bench -m model.gguf --plan kivi:K8V4 --plan tuned/plan.json
  kvtuner bench -m model.gguf --plan kivi:KV4 --depth 0,4096 --reps 5 --json
  kvtuner bench -m model.gguf --plan tuned/plan.json --depth 0,1024,4096 -o tuned/bench.json
)");
    app->callback([&commands, o] { commands.action = [o] { return bench(*o); }; });
}

}  // namespace kvt::cli
