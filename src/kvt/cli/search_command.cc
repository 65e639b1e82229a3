// kvtuner search: the frontier of bits and KL divergence over layer groups.
#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/report/study_text.h"

namespace kvt::cli {

namespace {

Result<int> run_search_command(const StageOptions & o, const std::string & groups_path) {
    KVT_TRY(const LayerGroups groups, read_record_file(groups_path, parse_groups));
    KVT_TRY(const ScoringText text, search_text(o));
    KVT_TRY(const auto model, open_stage_model(o));
    KVT_CHECK_OK(check_feasible(model->info(), groups.mode, o.budget()));
    TerminalProgress progress;
    KVT_TRY(const ObjectiveSource objective, objective_source(o.objective, text, *model, progress));
    KVT_TRY(const Study study,
            search_stage(*model, groups, objective, o.search(), o.output, o.redo(), progress, {start_clock(o)}));
    KVT_TRY(const Choice choice, choose_plan(study, o.budget()));
    fmt::print("{}", o.json ? write_record(study) : study_text(study, choice.evaluation) + "\nChosen: " + choice.why + ".\n");
    return 0;
}

}  // namespace

void add_search(Commands & commands) {
    auto       o      = std::make_shared<StageOptions>();
    auto       groups = std::make_shared<std::string>();
    CLI::App * app    = commands.app.add_subcommand("search", "Search plans over layer groups with NSGA-II or MOEA/D");
    app->add_option("groups", *groups, "File of kvtuner cluster")->required();
    model_options(app, o);
    search_options(app, o);
    objective_options(app, o->objective);
    group_search_options(app, o);
    budget_options(app, o);
    time_option(app, o);
    app->add_option("-o,--output", o->output, "Study (SQLite) to write, and to resume from")->required();
    output_options(app, o);
    app->footer(
        R"(Every plan is scored whole: KL divergence of its next-token distributions from the f16 cache's, or what it loses on a task.
Examples:
  kvtuner search groups.json -m model.gguf -o study.sqlite
  kvtuner search groups.json -m model.gguf -o study.sqlite --generations 12 --bits 5
  kvtuner search groups.json -m model.gguf -o study.sqlite --algorithm moead --soft-limits 4,6 --trials 200
)");
    app->callback([&commands, o, groups] { commands.action = [o, groups] { return run_search_command(*o, *groups); }; });
}

}  // namespace kvt::cli
