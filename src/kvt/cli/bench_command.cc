// kvtuner bench.
#include <memory>

#include <fmt/format.h>

#include "kvt/base/stopwatch.h"
#include "kvt/cli/bench_run.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/plan_argument.h"
#include "kvt/cli/table.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt::cli {

namespace {

constexpr int kMaxDepth   = 1 << 20;
constexpr int kMaxThreads = 1024;

struct Options {
    std::string   model;
    PlanArguments plans;
    BenchOptions  bench;
    bool          json = false;
};

std::string speed_text(const Speed & s) { return fmt::format("{:.2f} ({:.2f}-{:.2f})", s.median, s.min, s.max); }

nlohmann::ordered_json speed_json(const Speed & s) {
    return {{"unit", "tokens/s"}, {"median", s.median}, {"min", s.min}, {"max", s.max}, {"ratio_to_f16", s.ratio}};
}

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

nlohmann::ordered_json rows_json(const Options & o, const ModelInfo & model, const std::vector<BenchRow> & rows) {
    nlohmann::ordered_json out{{"schema", "kvtuner.bench"},
                               {"schema_version", 1},
                               {"model", model.name},
                               {"file_sha256", model.file_sha256},
                               {"threads", o.bench.n_threads},
                               {"repetitions", o.bench.repetitions},
                               {"prefill_tokens", kBenchPrefillTokens},
                               {"generate_tokens", kBenchGenerateTokens}};
    out["rows"] = nlohmann::ordered_json::array();
    for (const BenchRow & row : rows) {
        out["rows"].push_back({{"plan", row.label},
                               {"depth", row.depth},
                               {"kv_bytes", row.kv_bytes},
                               {"prefill", speed_json(row.prefill)},
                               {"generation", speed_json(row.generation)}});
    }
    return out;
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
    KVT_TRY(const auto rows, run_bench(*runner, subjects, o.bench, progress, seconds_now));
    if (o.json) {
        print_json(rows_json(o, info, rows));
    } else {
        print_table(o, info, rows);
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
    app->add_flag("--force", o->plans.force, "Accept plans made for another file of the same shape");
    app->add_flag("--json", o->json, "Print JSON");
    app->footer(
        R"(Within each repetition every plan runs once, in turn. At each depth the cache is filled first, then 32 tokens are
generated one by one, then 512 are prefilled. Only ratios mean something across machines and days.

Examples:
  kvtuner bench -m model.gguf --plan kivi:K8V4 --plan tuned/plan.json
  kvtuner bench -m model.gguf --plan kivi:KV4 --depth 0,4096 --reps 5 --json
)");
    app->callback([&commands, o] { commands.action = [o] { return bench(*o); }; });
}

}  // namespace kvt::cli
