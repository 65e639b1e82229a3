// Options that tune and the subcommands of single stages share, and how they become stage inputs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "kvt/cli/objective_options.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tuner/pipeline.h"

namespace kvt::cli {

// --- Interface ---

struct StageOptions {
    std::string              model, plugin, output, method = "knapsack", mode, prompts_file, text, calibration_text;
    std::vector<std::string> check_texts;  // empty: the one that comes with kvtuner
    int                      n_prompts = 20, n_generate = 32, chunks = 3, check_chunks = 12, n_ctx = 512, threads = 0;
    int                      positions = 0, calibration_tokens = 8192;
    int                      population = 16, generations = 2, trials = 0;  // trials 0: generations count
    std::string              algorithm = "nsga2", first_plans = "isolated";
    std::vector<double>      soft_limits;
    bool                     no_pruning = false, no_clustering = false;
    uint64_t                 seed     = 1;
    double                   max_bits = 0, max_kld = 0;  // 0: not given
    uint64_t                 memory     = 0;             // bytes; 0: not given
    int                      memory_ctx = 8192, memory_parallel = 1;
    std::string              speed;           // "1.5x"; empty: not given
    double                   time_limit = 0;  // seconds; 0: none
    bool                     fresh = false, json = false;
    ObjectiveOptions         objective;

    Result<double> speed_factor() const;  // 0: not given. Errors: not a number above 0
    // The mode asked for, else the method's own.
    Result<Mode>  quantization_mode() const;
    Redo          redo() const { return fresh ? Redo::yes : Redo::no; }
    Budget        budget() const;
    SearchOptions search() const;
};

void model_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void calibrate_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void mode_option(CLI::App * app, const std::shared_ptr<StageOptions> & o, const std::string & what);
void profile_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void search_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void group_search_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void budget_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void speed_option(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void time_option(CLI::App * app, const std::shared_ptr<StageOptions> & o);
void output_options(CLI::App * app, const std::shared_ptr<StageOptions> & o);

Result<std::unique_ptr<ModelRunner>> open_stage_model(const StageOptions & o);
Result<CalibrateStage>               calibrate_inputs(const StageOptions & o);
Result<ProfileStage>                 profile_inputs(const StageOptions & o);
Result<ScoringText>                  search_text(const StageOptions & o);
// One for each of o.check_texts, or the shipped one.
Result<std::vector<ScoringText>> check_texts(const StageOptions & o);
// The budget, with what attention costs on this machine if a speed is asked for: measured now, or read from `path` if it was
// measured there for the same model, context, threads and ISA. Errors: those of measuring, a speed that is no number.
Result<Budget> budget_with_speed(const StageOptions & o, const ModelRunner & model, const std::string & path,
                                 Progress & progress);
// Counts from this call; empty without --time.
TimeUsed start_clock(const StageOptions & o);

// Writes to `path` if it is not empty. Errors: cannot write.
Status write_output(const std::string & path, const std::string & text);

}  // namespace kvt::cli
