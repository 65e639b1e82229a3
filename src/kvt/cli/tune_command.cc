// kvtuner tune: all stages, one folder of results.
#include <chrono>

#include <fmt/format.h>
#include <kvt_build_info.h>
#include <nlohmann/json.hpp>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/plan_library.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/stage_text.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/report/study_text.h"
#include "kvt/tuner/calibrate/plan_files.h"
#include "kvt/tuner/cluster/cluster.h"
#include "kvt/tuner/prune/prune.h"

namespace kvt::cli {

namespace {

struct Artefacts {
    std::string calibration, sensitivity, candidates, groups, study, held_out, plan, summary;

    explicit Artefacts(const std::string & folder)
        : calibration(folder + "/calibration.safetensors"),
          sensitivity(folder + "/sensitivity.json"),
          candidates(folder + "/candidates.json"),
          groups(folder + "/groups.json"),
          study(folder + "/study.json"),
          held_out(folder + "/held_out.json"),
          plan(folder + "/plan.json"),
          summary(folder + "/summary.txt") {}
};

// Said before the long part begins; the progress bar adds the time once evaluations have been seen.
void announce(const StageOptions & o, const std::string & what, int evaluations) {
    fmt::print(stderr, "search: {}, at most {} plans scored on {} tokens each\n", what, evaluations, o.chunks * o.n_ctx);
}

// A finished search, with what belongs in the summary before its frontier.
struct Searched {
    Study       study;
    std::string profile_sha256, explanation;
};

// The paper's procedure: profile, prune, cluster, NSGA-II over groups.
Result<Searched> search_groups(ModelRunner & model, const StageOptions & o, const Artefacts & files, Progress & progress) {
    KVT_TRY(const ProfileStage profile, profile_inputs(o));
    KVT_TRY(const ScoringText on_validation, search_text(o));
    KVT_TRY(const SensitivityTable table, profile_stage(model, profile, files.sensitivity, o.redo(), progress));
    const CandidateSets sets = prune(table);
    KVT_CHECK_OK(write_output(files.candidates, write_record(sets)));
    KVT_TRY(const LayerGroups groups, cluster(table, sets));
    KVT_CHECK_OK(write_output(files.groups, write_record(groups)));
    announce(o, fmt::format("{} groups, {:.0f} plans to choose from", groups.groups.size(), search_space(groups)),
             max_evaluations(groups, o.search()));
    KVT_TRY(Study study, search_stage(model, groups, on_validation, o.search(), files.study, o.redo(), progress));
    return Searched{std::move(study), table.data_sha256, groups_text(groups)};
}

// Ours: calibrated transforms where the mode has them, then an exact allocation over layers.
Result<Searched> search_layers(ModelRunner & model, const StageOptions & o, const Artefacts & files, Progress & progress) {
    KVT_TRY(const Mode mode, o.quantization_mode());
    KVT_TRY(const CalibrateStage calibrate, calibrate_inputs(o));
    KVT_TRY(const ScoringText on_validation, search_text(o));
    CalibrationRef calibration;
    if (mode == Mode::rotated) {
        KVT_TRY(calibration, calibrate_stage(model, calibrate, files.calibration, o.redo(), progress));
    }
    announce(o, fmt::format("K and V of {} layers", model.info().n_layer), max_allocation_evaluations(model.info()));
    KVT_TRY(Study study, allocation_stage(model, mode, calibration, on_validation, o.budget(), files.study, o.redo(), progress));
    std::string explanation = increments_text(study);
    return Searched{std::move(study), "", std::move(explanation)};
}

Result<int> run_tune(const StageOptions & o) {
    const auto started = std::chrono::steady_clock::now();
    KVT_CHECK_OK(o.quantization_mode());
    KVT_TRY(const ScoringText on_test, check_text(o));
    KVT_CHECK_OK(make_folder(o.output));
    const Artefacts files(o.output);
    KVT_TRY(const auto model, open_stage_model(o));

    TerminalProgress progress;
    KVT_TRY(const Searched found,
            o.method == "paper" ? search_groups(*model, o, files, progress) : search_layers(*model, o, files, progress));
    const Study & study = found.study;
    KVT_TRY(const Choice choice, choose_plan(study, o.budget()));
    KVT_TRY(const HeldOutCheck check, check_stage(*model, study, choice, on_test, files.held_out, o.redo(), progress));
    const PrecisionPlan plan = finished_plan(study, choice, check, found.profile_sha256, build_info::kVersion);
    KVT_CHECK_OK(write_plan_files(plan, files.plan));
    const Result<std::string> kept = put_in_library(plan);  // the plan is written already: a library that cannot be is no failure
    if (!kept.ok()) fmt::print(stderr, "kvtuner: the plan is not in the plan library: {}\n", kept.error().message);

    const Evaluation & chosen = study.evaluations[static_cast<size_t>(choice.evaluation)];
    const std::string  summary =
        fmt::format("{}\n{}\nChosen: {}.\n{}\n{}", found.explanation, study_text(study, choice.evaluation), choice.why,
                    plan_strip(chosen.pairs), held_out_text(check));
    KVT_CHECK_OK(write_output(files.summary, summary));
    if (o.json) {
        nlohmann::ordered_json j;
        j["plan"]     = files.plan;
        j["library"]  = kept.ok() ? nlohmann::ordered_json(*kept) : nlohmann::ordered_json();
        j["why"]      = choice.why;
        j["study"]    = nlohmann::ordered_json::parse(write_record(study));
        j["held_out"] = nlohmann::ordered_json::parse(write_record(check));
        print_json(j);
        return 0;
    }
    KVT_TRY(const std::string plugin, o.plugin.empty() ? find_plugin() : Result<std::string>(o.plugin));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    fmt::print("{}\nWritten to {} in {}.\n\n{}", summary, files.plan, duration_text(seconds),
               next_steps(o.model, files.plan, plugin));
    return 0;
}

}  // namespace

void add_tune(Commands & commands) {
    auto       o   = std::make_shared<StageOptions>();
    CLI::App * app = commands.app.add_subcommand("tune", "Find the best precision of every layer: calibrate, search, check");
    model_options(app, o);
    app->add_option("-o,--output", o->output, "Folder for plan.json and the artefacts of every stage; run again to resume")
        ->required();
    app->add_option("--method", o->method,
                    "knapsack: exact allocation of bits to every K and V; paper: profile, prune, cluster, NSGA-II over groups")
        ->check(CLI::IsMember({"knapsack", "paper"}))
        ->capture_default_str();
    mode_option(app, o, "Quantization mode: rotated, kivi or per-token; default: rotated, for --method paper kivi");
    calibrate_options(app, o);
    search_options(app, o);
    app->add_option("--check-text", o->check_text,
                    "Held-out text for the final figures; default: the head of WikiText-2 test that comes with kvtuner");
    app->add_option("--check-chunks", o->check_chunks, "Chunks of held-out text")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    budget_options(app, o);
    profile_options(app, o);
    nsga2_options(app, o);
    output_options(app, o);
    app->footer(R"(Without a budget, the smallest plan whose KL divergence is within 3 times the noise floor is chosen.
Examples:
  kvtuner tune -m model.gguf -o tuned
  kvtuner tune -m model.gguf -o tuned --bits 4.5
  kvtuner tune -m model.gguf -o tuned --memory 512MiB --for-ctx 32768 --parallel 4
  kvtuner tune -m model.gguf -o tuned-paper --method paper --mode per-token --max-kld 0.02
)");
    app->callback([&commands, o] { commands.action = [o] { return run_tune(*o); }; });
}

}  // namespace kvt::cli
