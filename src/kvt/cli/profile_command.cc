// kvtuner profile: stage 1 of tuning.
#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/stage_options.h"
#include "kvt/cli/stage_text.h"
#include "kvt/cli/terminal_progress.h"

namespace kvt::cli {

namespace {

Result<int> run_profile_command(const StageOptions & o) {
    KVT_TRY(const ProfileStage stage, profile_inputs(o));
    KVT_TRY(const auto model, open_stage_model(o));
    TerminalProgress progress;
    KVT_TRY(const SensitivityTable table, profile_stage(*model, stage, o.output, o.redo(), progress));
    fmt::print("{}", o.json ? write_record(table) : sensitivity_text(table));
    return 0;
}

}  // namespace

void add_profile(Commands & commands) {
    auto o         = std::make_shared<StageOptions>();
    o->method      = "paper";
    CLI::App * app = commands.app.add_subcommand("profile", "Measure how sensitive each layer is to each precision pair");
    model_options(app, o);
    mode_option(app, o, "Quantization mode: kivi or per-token; default: kivi");
    profile_options(app, o);
    app->add_option("-o,--output", o->output, "Sensitivity file to write")->required();
    output_options(app, o);
    app->footer(R"(Runs the model at full precision and simulates every pair on what it computed; nothing accumulates over layers.
Examples:
  kvtuner profile -m model.gguf -o sensitivity.json
  kvtuner profile -m model.gguf --mode per-token --prompts-file my.jsonl --prompts 0 -o sensitivity.json
)");
    app->callback([&commands, o] { commands.action = [o] { return run_profile_command(*o); }; });
}

}  // namespace kvt::cli
