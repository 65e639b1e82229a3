// kvtuner prune: candidate pairs per layer.
#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/stage_text.h"
#include "kvt/tuner/prune/prune.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string sensitivity, output;
    bool        no_pruning = false, json = false;
};

Result<int> run_prune(const Options & o) {
    KVT_TRY(const SensitivityTable table, read_record_file(o.sensitivity, parse_sensitivity));
    const CandidateSets sets = prune(table, o.no_pruning ? Pruning::none : Pruning::pareto);
    KVT_CHECK_OK(write_output(o.output, write_record(sets)));
    fmt::print("{}", o.json ? write_record(sets) : candidates_text(sets));
    return 0;
}

}  // namespace

void add_prune(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("prune", "Keep the precision pairs of each layer that no other pair beats");
    app->add_option("sensitivity", o->sensitivity, "File of kvtuner profile")->required();
    app->add_option("-o,--output", o->output, "Candidates file to write");
    app->add_flag("--no-pruning", o->no_pruning, "Keep all nine pairs in every layer, to see what pruning does");
    app->add_flag("--json", o->json, "Print the record as JSON");
    app->footer("Example:\n  kvtuner prune sensitivity.json -o candidates.json\n");
    app->callback([&commands, o] { commands.action = [o] { return run_prune(*o); }; });
}

}  // namespace kvt::cli
