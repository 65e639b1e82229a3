// kvtuner tune: all stages, one folder of results.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <kvt_build_info.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/base/stopwatch.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/plan_library.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/stage_text.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/cli/tune_forecast.h"
#include "kvt/crew/mpi_crew.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/report/study_text.h"
#include "kvt/tuner/calibrate/plan_files.h"
#include "kvt/tuner/cluster/cluster.h"
#include "kvt/tuner/prune/prune.h"
#include "kvt/tuner/spread.h"
#include "kvt/tuner/task_objective.h"

namespace kvt::cli {

namespace {

struct Artefacts {
    std::string folder, calibration, sensitivity, candidates, groups, study, speed, plan, summary;

    explicit Artefacts(const std::string & output)
        : folder(output),
          calibration(output + "/calibration.safetensors"),
          sensitivity(output + "/sensitivity.json"),
          candidates(output + "/candidates.json"),
          groups(output + "/groups.json"),
          study(output + "/study.sqlite"),
          speed(output + "/speed.json"),
          plan(output + "/plan.json"),
          summary(output + "/summary.txt") {}

    // held_out.json for the first text, held_out-2.json and so on for the others.
    std::string held_out(size_t text) const {
        return text == 0 ? folder + "/held_out.json" : fmt::format("{}/held_out-{}.json", folder, text + 1);
    }
};

// How many plans are measured on the held-out text: the chosen one, its rivals, the reference and two floors.
constexpr int kCheckedPlans = 12;

// Said before the long part begins; the progress bar adds the time left once evaluations have been seen. A study that is there
// already is resumed or re-solved: what is left of it is not known here.   text  to measure the cost of a token on
// calibration_tokens  still to be run
Status announce(ModelRunner & model, const StageOptions & o, const Artefacts & files, const ObjectiveSource & objective,
                const ScoringText & text, const std::string & what, int evaluations, int64_t calibration_tokens) {
    KVT_TRY(const PlanCost a_plan, objective.cost(model));
    const std::string on = o.objective.on_text()
                               ? fmt::format("{} tokens", a_plan.prompt_tokens)
                               : fmt::format("{} items of {} ({})", o.objective.items(), o.objective.name, o.objective.score);
    std::string       cost;
    if (!file_exists(files.study) || o.fresh) {
        TuneWork work{evaluations, a_plan, calibration_tokens, 0};
        work.other_tokens +=
            static_cast<int64_t>(std::max<size_t>(o.check_texts.size(), 1)) * o.check_chunks * o.n_ctx * kCheckedPlans;
        std::error_code ignored;
        work.model_bytes = std::filesystem::file_size(o.model, ignored);
        KVT_TRY(const auto tokens, model.tokenize(text.text.substr(0, 8 * kForecastTokens), AddSpecial::yes));
        const int  n_slots = a_plan.steps > 0 ? TaskScoring{}.n_slots : 0;
        const auto costs   = measure_tokens(model, tokens, n_slots, o.threads, seconds_now);
        if (costs.ok()) cost = "; " + forecast_text(work, *costs);  // what is wrong here, the search will say
    }
    fmt::print(stderr, "search: {}, at most {} plans scored on {} each{}\n", what, evaluations, on, cost);
    return ok_status();
}

// A finished search, with what belongs in the summary before its frontier.
struct Searched {
    Study       study;
    std::string profile_sha256, explanation;
};

// The paper's procedure: profile, prune, cluster, NSGA-II over groups.
Result<Searched> search_groups(ModelRunner & model, const StageOptions & o, const Artefacts & files, Progress & progress,
                               const SearchMeans & means) {
    KVT_TRY(const ProfileStage profile, profile_inputs(o));
    KVT_TRY(const ScoringText on_validation, search_text(o));
    KVT_TRY(const SensitivityTable table, profile_stage(model, profile, files.sensitivity, o.redo(), progress));
    const CandidateSets sets = prune(table, o.no_pruning ? Pruning::none : Pruning::pareto);
    KVT_CHECK_OK(write_output(files.candidates, write_record(sets)));
    KVT_TRY(const LayerGroups groups, cluster(table, sets, kClusterEps, o.no_clustering ? Clustering::none : Clustering::dbscan));
    KVT_CHECK_OK(write_output(files.groups, write_record(groups)));
    KVT_TRY(const ObjectiveSource objective, objective_source(o.objective, on_validation, model, progress));
    KVT_CHECK_OK(announce(model, o, files, objective, on_validation,
                          fmt::format("{} groups, {:.0f} plans to choose from", groups.groups.size(), search_space(groups)),
                          max_evaluations(groups, o.search()), 0));
    KVT_TRY(Study study, search_stage(model, groups, objective, o.search(), files.study, o.redo(), progress, means));
    return Searched{std::move(study), table.data_sha256, groups_text(groups)};
}

// Ours: calibrated transforms where the mode has them, then an exact allocation over layers.
Result<Searched> search_layers(ModelRunner & model, const StageOptions & o, const Artefacts & files, Progress & progress,
                               const Budget & budget, const SearchMeans & means) {
    KVT_TRY(const Mode mode, o.quantization_mode());
    KVT_TRY(const CalibrateStage calibrate, calibrate_inputs(o));
    KVT_TRY(const ScoringText on_validation, search_text(o));
    KVT_TRY(const ObjectiveSource objective, objective_source(o.objective, on_validation, model, progress));
    const bool calibrates = mode == Mode::rotated && (!file_exists(files.calibration) || o.fresh);
    KVT_CHECK_OK(announce(model, o, files, objective, on_validation, fmt::format("K and V of {} layers", model.info().n_layer),
                          max_allocation_evaluations(model.info()), calibrates ? o.calibration_tokens : 0));
    CalibrationRef calibration;
    if (mode == Mode::rotated) {
        KVT_TRY(calibration, calibrate_stage(model, calibrate, files.calibration, o.redo(), progress));
    }
    KVT_TRY(Study study, allocation_stage(model, mode, calibration, objective, budget, files.study, o.redo(), progress, means));
    std::string explanation = increments_text(study);
    return Searched{std::move(study), "", std::move(explanation)};
}

bool no_budget(const Budget & b) { return !b.limits_plans() && !b.max_kld; }

// With soft limits and no budget, the paper's rule for the largest of them.
Result<Choice> chosen_plan(const Study & study, const Budget & budget) {
    if (study.soft_limits.empty() || !no_budget(budget)) return choose_plan(study, budget);
    return choose_within_payload(study, *std::max_element(study.soft_limits.begin(), study.soft_limits.end()));
}

// The paper's selection: KVTuner-C{bits}.json for every soft limit.
Status write_published(const Study & study, const std::string & folder) {
    for (const double limit : study.soft_limits) {
        KVT_TRY(const Choice choice, choose_within_payload(study, limit));
        const PrecisionPlan plan = searched_plan(study, choice, build_info::kVersion);
        KVT_CHECK_OK(write_plan_files(plan, fmt::format("{}/KVTuner-C{:.2f}.json", folder, payload_bits(plan))));
    }
    return ok_status();
}

// The workers of a crew may go however the coordinator's run ends.
class WorkEnds {
public:
    explicit WorkEnds(Crew * crew) : crew_(crew) {}
    WorkEnds(const WorkEnds &)             = delete;
    WorkEnds & operator=(const WorkEnds &) = delete;
    ~WorkEnds() {
        if (crew_ != nullptr) end_work(*crew_);
    }

private:
    Crew * crew_;
};

Result<int> run_worker(const StageOptions & o, Crew & crew) {
    KVT_TRY(const ScoringText text, search_text(o));
    KVT_TRY(const auto model, open_stage_model(o));
    KVT_TRY(const ObjectiveSource objective, objective_source(o.objective, text, *model, no_progress()));
    KVT_CHECK_OK(work_stage(*model, objective, crew));
    return 0;
}

Result<int> run_tune(const StageOptions & o) {
    const Stopwatch watch;
    KVT_TRY(const auto crew, join_mpi_crew());
    if (crew && crew->rank() > 0) return run_worker(o, *crew);
    const WorkEnds    ends(crew.get());
    const SearchMeans means{start_clock(o), crew.get()};
    KVT_TRY(const Mode mode, o.quantization_mode());
    KVT_TRY(const std::vector<ScoringText> on_test, check_texts(o));
    KVT_CHECK_OK(make_folder(o.output));
    const Artefacts files(o.output);
    KVT_TRY(const auto model, open_stage_model(o));
    TerminalProgress progress;
    KVT_TRY(const Budget budget, budget_with_speed(o, *model, files.speed, progress));
    KVT_CHECK_OK(check_feasible(model->info(), mode, budget));

    KVT_TRY(const Searched found, o.method == "paper" ? search_groups(*model, o, files, progress, means)
                                                      : search_layers(*model, o, files, progress, budget, means));
    const Study & study = found.study;
    KVT_TRY(const Choice choice, chosen_plan(study, budget));
    std::vector<NamedCheck> checks;
    for (size_t i = 0; i < on_test.size(); ++i) {
        KVT_TRY(HeldOutCheck done, check_stage(*model, study, choice, on_test[i], files.held_out(i), o.redo(), progress));
        checks.push_back({o.check_texts.empty() ? "WikiText-2 test" : file_name(o.check_texts[i]), std::move(done)});
    }
    std::string opinion;
    if (!o.objective.on_text()) {
        KVT_TRY(opinion, second_opinion(o.objective, study, choice, o.threads, *model, progress));
    }
    const HeldOutCheck & check = checks.front().check;
    const PrecisionPlan  plan  = finished_plan(study, choice, check, found.profile_sha256, build_info::kVersion);
    KVT_CHECK_OK(write_plan_files(plan, files.plan));
    const Result<std::string> kept = put_in_library(plan);  // the plan is written already: a library that cannot be is no failure
    if (!kept.ok()) fmt::print(stderr, "kvtuner: the plan is not in the plan library: {}\n", kept.error().message);

    const Evaluation & chosen  = study.evaluations[static_cast<size_t>(choice.evaluation)];
    const std::string  summary = fmt::format(
         "{}\n{}\n{}Chosen: {}.\n{}{}\n{}{}", found.explanation, study_text(study, choice.evaluation),
        study.complete ? "" : "The time was up before the search had finished: the same command without --time goes on.\n",
         choice.why, speed_text(budget, chosen.pairs), plan_strip(chosen.pairs), checks_text(study, chosen, checks),
         opinion + guard_text(guard_choice(study, budget, choice), study));
    KVT_CHECK_OK(write_output(files.summary, summary));
    KVT_CHECK_OK(write_published(study, o.output));
    if (o.json) {
        nlohmann::ordered_json j;
        j["plan"]     = files.plan;
        j["library"]  = kept.ok() ? nlohmann::ordered_json(*kept) : nlohmann::ordered_json();
        j["why"]      = choice.why;
        j["study"]    = nlohmann::ordered_json::parse(write_record(study));
        j["held_out"] = nlohmann::ordered_json::parse(write_record(check));
        if (!opinion.empty()) j["second_opinion"] = opinion;
        if (budget.speed) {
            j["speed"] = {{"asked", budget.speed->factor},
                          {"predicted", budget.speed->factor_of(chosen.pairs)},
                          {"costs", nlohmann::ordered_json::parse(write_record(budget.speed->costs))}};
        }
        for (size_t i = 1; i < checks.size(); ++i)
            j["other_texts"].push_back(nlohmann::ordered_json::parse(write_record(checks[i].check)));
        print_json(j);
        return 0;
    }
    KVT_TRY(const std::string plugin, find_plugin(o.plugin));
    fmt::print("{}\nWritten to {} in {}.\n\n{}", summary, files.plan, duration_text(watch.seconds()),
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
    app->add_option(
           "--method", o->method,
           "knapsack: exact allocation of bits to every K and V; paper: profile, prune, cluster, sampled search over groups")
        ->check(CLI::IsMember({"knapsack", "paper"}))
        ->capture_default_str();
    mode_option(app, o, "Quantization mode: rotated, kivi or per-token; default: rotated, for --method paper kivi");
    calibrate_options(app, o);
    search_options(app, o);
    objective_options(app, o->objective);
    app->add_option(
           "--check-text", o->check_texts,
           "Held-out text for the final figures, may be repeated for text of other kinds; default: the head of WikiText-2 test "
           "that comes with kvtuner")
        ->take_all();
    app->add_option("--check-chunks", o->check_chunks, "Chunks of held-out text")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    budget_options(app, o);
    speed_option(app, o);
    time_option(app, o);
    profile_options(app, o);
    group_search_options(app, o);
    app->add_flag("--no-pruning", o->no_pruning, "Paper: keep all nine pairs in every layer");
    app->add_flag("--no-clustering", o->no_clustering, "Paper: every layer is a group of its own");
    output_options(app, o);
    app->footer(R"(Without a budget, the smallest plan whose KL divergence is within 3 times the noise floor is chosen.
Examples:
  kvtuner tune -m model.gguf -o tuned
  kvtuner tune -m model.gguf -o tuned --bits 4.5 --time 10m
  kvtuner tune -m model.gguf -o tuned --check-text prose.txt --check-text code.txt
  kvtuner tune -m model.gguf -o tuned --memory 512MiB --for-ctx 32768 --parallel 4
  kvtuner tune -m model.gguf -o tuned --speed 2x --for-ctx 32768
  kvtuner tune -m model.gguf -o tuned-paper --method paper --mode per-token --max-kld 0.02
  kvtuner tune -m model.gguf -o tuned-gsm8k --objective gsm8k --score loglik --bits 4
Plans are scored on several processes where mpirun starts them; the first one hands out the work:
  mpirun -n 9 --bind-to none --enable-recovery kvtuner tune -m model.gguf -o tuned -t 4
As published (MOEA/D, 200 trials for each of two soft limits; the best plan within each is written too; the published objective
is --objective gsm8k, accuracy on 200 items, and takes hours):
  kvtuner tune -m model.gguf -o published --method paper --algorithm moead --first-plans chance --soft-limits 4,6 \
    --population 20 --trials 200
)");
    app->callback([&commands, o] { commands.action = [o] { return run_tune(*o); }; });
}

}  // namespace kvt::cli
