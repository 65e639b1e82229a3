#include "kvt/cli/common_options.h"

namespace kvt::cli {

CLI::Option * plan_options(CLI::App & app, PlanArguments & plans) {
    CLI::Option * option =
        app.add_option("-p,--plan", plans.texts, "Plan file, or kivi:K4V2, per-token:K8V4, rotated:KV4, f16; may be repeated");
    app.add_option("--calibration", plans.calibration, "File of kvtuner calibrate, for plans such as rotated:KV4");
    return option;
}

void force_option(CLI::App & app, bool & force) {
    app.add_flag("--force", force, "Accept a plan made for another file of the same shape");
}

void threads_option(CLI::App & app, int & n_threads) {
    app.add_option("-t,--threads", n_threads, "Threads; 0: one per physical core")
        ->check(CLI::Range(0, 4096))
        ->capture_default_str();
}

void batch_options(CLI::App & app, int & n_batch, int & n_ubatch) {
    app.add_option("-b,--batch-size", n_batch, "Tokens per call")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app.add_option("-u,--ubatch-size", n_ubatch, "Tokens per graph")->check(CLI::Range(1, 1 << 20))->capture_default_str();
}

void margin_option(CLI::App & app, double & points) {
    app.add_option("--margin", points, "Points of a score within which plans are to count as equal")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str();
}

void plugin_option(CLI::App & app, std::string & plugin) {
    app.add_option("--plugin", plugin, "Path of libggml-kvtuner.so; default: KVT_PLUGIN, or beside the program");
}

}  // namespace kvt::cli
