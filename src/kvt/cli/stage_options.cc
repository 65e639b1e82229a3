#include "kvt/cli/stage_options.h"

#include <charconv>
#include <map>

#include <fmt/format.h>

#include "kvt/base/shipped_data.h"
#include "kvt/base/stopwatch.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/plan_text.h"
#include "kvt/cli/prompts.h"
#include "kvt/engine/llama/cores.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/tuner/speed/attention_speed.h"

namespace kvt::cli {

namespace {

constexpr const char * kDefaultPrompts = "gsm8k_train_20.jsonl";
constexpr const char * kDefaultSearch  = "wikitext2/wiki.valid.head.raw";
constexpr const char * kDefaultCheck   = "wikitext2/wiki.test.head.raw";

Result<ScoringText> scoring_text(const std::string & given, const char * shipped, int n_ctx, int chunks, int threads) {
    KVT_TRY(const std::string path, given_or_shipped(given, shipped));
    ScoringText text;
    KVT_TRY(text.text, read_file(path));
    if (text.text.empty()) return Error{fmt::format("the text {} is empty", path)};
    text.chunk_tokens = n_ctx;
    text.max_chunks   = chunks;
    text.n_threads    = threads;
    return text;
}

}  // namespace

Result<Mode> StageOptions::quantization_mode() const {
    KVT_TRY(const Mode found, parse_mode(!mode.empty() ? mode : method == "paper" ? "kivi" : "rotated"));
    if (found == Mode::custom) return Error{"--mode custom: name the mode that plans are made of"};
    if (method == "paper" && found == Mode::rotated)
        return Error{"--mode rotated: the paper's method knows kivi and per-token; use --method knapsack"};
    return found;
}

Budget StageOptions::budget() const {
    Budget b;
    if (max_bits > 0) b.max_bits = max_bits;
    if (max_kld > 0) b.max_kld = max_kld;
    if (memory > 0) {
        b.memory =
            MemoryBudget{memory, cells_per_sequence({memory_ctx, memory_parallel}), static_cast<uint64_t>(memory_parallel)};
    }
    return b;
}

Result<double> StageOptions::speed_factor() const {
    if (speed.empty()) return 0.0;
    const std::string digits = speed.back() == 'x' ? speed.substr(0, speed.size() - 1) : speed;
    double            factor = 0;
    const auto [end, error]  = std::from_chars(digits.data(), digits.data() + digits.size(), factor);
    if (error != std::errc() || end != digits.data() + digits.size() || !(factor > 0) || factor > 1000)
        return Error{fmt::format("--speed {}: must be how many times as fast as f16, such as 1.5x", speed)};
    return factor;
}

SearchOptions StageOptions::search() const {
    SearchOptions s{population, trials > 0 ? generations_of_trials(trials, population) : generations, seed};
    s.algorithm   = algorithm == "moead" ? Algorithm::moead : Algorithm::nsga2;
    s.first       = first_plans == "chance" ? FirstPlans::chance : FirstPlans::isolated_scores;
    s.soft_limits = soft_limits;
    return s;
}

void model_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("-m,--model", o->model, "GGUF model")->required();
    threads_option(*app, o->threads);
    plugin_option(*app, o->plugin);
}

void calibrate_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--calibration-text", o->calibration_text,
                    "Text to calibrate on (its end); default: the head of WikiText-2 validation that comes with kvtuner");
    app->add_option("--calibration-tokens", o->calibration_tokens, "Tokens of it")
        ->check(CLI::Range(256, 1 << 24))
        ->capture_default_str();
    app->add_option("--positions", o->positions,
                    "Positions to cover; 0: --for-ctx with --memory, else the context the model was trained for, at most 32768")
        ->check(CLI::Range(0, 1 << 30))
        ->capture_default_str();
}

void mode_option(CLI::App * app, const std::shared_ptr<StageOptions> & o, const std::string & what) {
    app->add_option("--mode", o->mode, what);
}

void profile_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--prompts-file", o->prompts_file,
                    "Calibration prompts (.jsonl or text); default: 20 GSM8K training questions that come with kvtuner");
    app->add_option("--prompts", o->n_prompts, "How many prompts, 0 for all")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    app->add_option("--generate", o->n_generate, "Tokens to generate per prompt")
        ->check(CLI::Range(1, 1 << 16))
        ->capture_default_str();
}

void search_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--text", o->text, "Text to search on; default: the head of WikiText-2 validation that comes with kvtuner");
    app->add_option("-c,--ctx", o->n_ctx, "Tokens per chunk of text")->check(CLI::Range(16, 1 << 24))->capture_default_str();
    app->add_option("--chunks", o->chunks, "Chunks per evaluation")->check(CLI::Range(1, 1 << 20))->capture_default_str();
}

void group_search_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--population", o->population, "Plans per generation, a multiple of 4")
        ->check(CLI::Range(8, 100000))
        ->capture_default_str();
    auto * generations = app->add_option("--generations", o->generations, "Generations after the first population")
                             ->check(CLI::Range(1, 100000))
                             ->capture_default_str();
    app->add_option("--trials", o->trials,
                    "Plans that a run of the search proposes, repeated ones counted; instead of --generations")
        ->check(CLI::Range(16, 10000000))
        ->excludes(generations);
    app->add_option("--algorithm", o->algorithm, "nsga2 (the paper's code) or moead (its text)")
        ->check(CLI::IsMember({"nsga2", "moead"}))
        ->capture_default_str();
    app->add_option("--soft-limits", o->soft_limits,
                    "Payload bits, for example 4,6: one run for each, in which larger plans rank behind; their fronts are merged")
        ->delimiter(',')
        ->check(CLI::Range(2.0, 8.0));
    app->add_option("--first-plans", o->first_plans,
                    "Where a run starts: isolated (scores of every group alone) or chance (the paper)")
        ->check(CLI::IsMember({"isolated", "chance"}))
        ->capture_default_str();
    app->add_option("--seed", o->seed, "Seed of the search")
        ->check(CLI::Range(uint64_t{0}, uint64_t{0xffffffff}))
        ->capture_default_str();
}

void budget_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--bits", o->max_bits, "Largest effective bits per element, scales and open blocks included")
        ->check(CLI::Range(0.1, 16.0));
    app->add_option("--memory", o->memory, "Largest KV cache, for example 512MiB, for --for-ctx tokens of --parallel sequences")
        ->transform(CLI::AsSizeValue(false));
    app->add_option("--for-ctx", o->memory_ctx, "Context that --memory and --speed are for, of all sequences together")
        ->check(CLI::Range(1, 1 << 30))
        ->capture_default_str();
    app->add_option("--parallel", o->memory_parallel, "Sequences with a cache of their own")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    app->add_option(
           "--max-kld,--max-loss", o->max_kld,
           "Largest KL divergence in nats; with a task as objective the largest loss: share of answers, or nats per token")
        ->check(CLI::PositiveNumber);
}

void speed_option(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option(
        "--speed", o->speed,
        "How many times as fast as with an f16 cache attention of a generated token has to be at --for-ctx tokens, for "
        "example 1.5x; measured on this machine in a few seconds");
}

void time_option(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_option("--time", o->time_limit,
                    "Search no longer than this, for example 10m, and take the best plan found by then; run again to go on")
        ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}}))
        ->check(CLI::PositiveNumber);
}

void output_options(CLI::App * app, const std::shared_ptr<StageOptions> & o) {
    app->add_flag("--json", o->json, "Print the record as JSON");
    app->add_flag("--fresh", o->fresh, "Redo, even if the output exists");
}

Result<std::unique_ptr<ModelRunner>> open_stage_model(const StageOptions & o) {
    return open_model(o.model, {o.plugin, UsePlugin::required, o.threads});
}

Result<CalibrateStage> calibrate_inputs(const StageOptions & o) {
    KVT_TRY(const ScoringText text, scoring_text(o.calibration_text, kDefaultSearch, 0, 0, o.threads));
    const int positions = o.positions == 0 && o.memory > 0 ? o.memory_ctx : o.positions;
    return CalibrateStage{text.text, o.calibration_tokens, positions, o.threads};
}

Result<ProfileStage> profile_inputs(const StageOptions & o) {
    ProfileStage stage;
    KVT_TRY(const std::string path, given_or_shipped(o.prompts_file, kDefaultPrompts));
    KVT_TRY(stage.prompts, load_prompts(path, o.n_prompts));
    KVT_TRY(stage.options.mode, o.quantization_mode());
    stage.options.n_generate = o.n_generate;
    stage.options.n_threads  = o.threads;
    return stage;
}

Result<ScoringText> search_text(const StageOptions & o) {
    return scoring_text(o.text, kDefaultSearch, o.n_ctx, o.chunks, o.threads);
}

Result<std::vector<ScoringText>> check_texts(const StageOptions & o) {
    std::vector<ScoringText> texts;
    for (const std::string & path : o.check_texts.empty() ? std::vector<std::string>{""} : o.check_texts) {
        KVT_TRY(ScoringText text, scoring_text(path, kDefaultCheck, o.n_ctx, o.check_chunks, o.threads));
        texts.push_back(std::move(text));
    }
    return texts;
}

Result<Budget> budget_with_speed(const StageOptions & o, const ModelRunner & model, const std::string & path,
                                 Progress & progress) {
    Budget budget = o.budget();
    KVT_TRY(const double factor, o.speed_factor());
    if (factor == 0) return budget;
    SpeedShape shape{model.info(), Mode::custom, model.n_q_heads(), o.memory_ctx, o.threads > 0 ? o.threads : usable_cores()};
    KVT_TRY(shape.mode, o.quantization_mode());
    KVT_TRY(const AttentionCosts wanted, speed_inputs(shape));
    if (file_exists(path) && !o.fresh) {
        const auto stored = read_record_file(path, parse_attention_costs);
        if (stored.ok() && stored->same_inputs(wanted)) {
            budget.speed = SpeedBudget{factor, *stored};
            return budget;
        }
    }
    KVT_TRY(AttentionCosts costs, measure_attention(shape, progress, seconds_now));
    KVT_CHECK_OK(write_output(path, write_record(costs)));
    budget.speed = SpeedBudget{factor, std::move(costs)};
    return budget;
}

TimeUsed start_clock(const StageOptions & o) {
    if (o.time_limit <= 0) return {};
    return [limit = o.time_limit, watch = Stopwatch()] { return watch.seconds() / limit; };
}

Status write_output(const std::string & path, const std::string & text) {
    if (path.empty()) return ok_status();
    return write_file_atomic(path, text);
}

}  // namespace kvt::cli
