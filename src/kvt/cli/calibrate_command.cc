// kvtuner calibrate: the transforms that rotated formats need.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/terminal_progress.h"

namespace kvt::cli {

namespace {

Result<int> run_calibrate(const StageOptions & o) {
    KVT_TRY(const CalibrateStage stage, calibrate_inputs(o));
    KVT_TRY(const auto model, open_stage_model(o));
    TerminalProgress progress;
    KVT_TRY(const CalibrationRef ref, calibrate_stage(*model, stage, o.output, o.redo(), progress));
    if (o.json) {
        print_json({{"schema", "kvtuner.calibrate"},
                    {"schema_version", 1},
                    {"file", o.output},
                    {"sha256", ref.sha256},
                    {"positions", ref.positions}});
    } else {
        fmt::print(
            "wrote {}, good for {} positions; use it with --calibration, for example\n  kvtuner eval kld -m {} --calibration {} "
            "--plan rotated:KV4\n",
            o.output, ref.positions, o.model, o.output);
    }
    return 0;
}

}  // namespace

void add_calibrate(Commands & commands) {
    auto       o = std::make_shared<StageOptions>();
    CLI::App * app =
        commands.app.add_subcommand("calibrate", "Measure keys, values and queries and design the transforms of rotated formats");
    model_options(app, o);
    calibrate_options(app, o);
    app->add_option("-o,--output", o->output, "Safetensors file to write")->required();
    output_options(app, o);
    app->footer(
        R"(Transforms are only good at positions they were calibrated for: --positions must be at least the context you will run.
Examples:
  kvtuner calibrate -m model.gguf -o calibration.safetensors
  kvtuner calibrate -m model.gguf --calibration-text mine.txt --positions 32768 -o calibration.safetensors
)");
    app->callback([&commands, o] { commands.action = [o] { return run_calibrate(*o); }; });
}

}  // namespace kvt::cli
