// kvtuner cluster: layers that behave alike share one pair.
#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/stage_text.h"
#include "kvt/tuner/cluster/cluster.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string sensitivity, candidates, output;
    double      eps           = kClusterEps;
    bool        no_clustering = false, json = false;
};

Result<int> run_cluster(const Options & o) {
    KVT_TRY(const SensitivityTable table, read_record_file(o.sensitivity, parse_sensitivity));
    KVT_TRY(const CandidateSets sets, read_record_file(o.candidates, parse_candidates));
    KVT_TRY(const LayerGroups groups, cluster(table, sets, o.eps, o.no_clustering ? Clustering::none : Clustering::dbscan));
    KVT_CHECK_OK(write_output(o.output, write_record(groups)));
    fmt::print("{}", o.json ? write_record(groups) : groups_text(groups));
    return 0;
}

}  // namespace

void add_cluster(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("cluster", "Group layers with equal candidates and similar errors");
    app->add_option("sensitivity", o->sensitivity, "File of kvtuner profile")->required();
    app->add_option("candidates", o->candidates, "File of kvtuner prune")->required();
    app->add_option("-o,--output", o->output, "Groups file to write");
    app->add_option("--eps", o->eps, "DBSCAN distance on raw e_o (min_samples is 2)")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app->add_flag("--no-clustering", o->no_clustering, "Make every layer a group of its own, to see what clustering does");
    app->add_flag("--json", o->json, "Print the record as JSON");
    app->footer("Example:\n  kvtuner cluster sensitivity.json candidates.json -o groups.json\n");
    app->callback([&commands, o] { commands.action = [o] { return run_cluster(*o); }; });
}

}  // namespace kvt::cli
