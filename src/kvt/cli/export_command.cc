// kvtuner export: a plan in the recipe format of another engine.
#include <filesystem>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/export_text.h"
#include "kvt/cli/plan_argument.h"
#include "kvt/cli/table.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/recipes/recipe.h"
#include "kvt/tuner/calibrate/plan_files.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string            plan, target, model, output, approx, index;
    recipes::ExportOptions recipe;
    bool                   force = false, json = false, list = false;
};

// Options that only some targets know; given with another one they are a mistake.
struct OwnOption {
    const char * option;
    const char * targets;  // each between spaces
};
constexpr OwnOption kOwnOptions[] = {{"--hf-attn-path", " modelopt vllm-layerwise "},
                                     {"--modelopt-form", " modelopt vllm-layerwise "},
                                     {"--producer-name", " modelopt vllm-layerwise "},
                                     {"--vllm-dtype", " vllm vllm-json "},
                                     {"--sglang-dialect", " sglang "},
                                     {"--ninfer-4bit", " ninfer "},
                                     {"--index", " vllm vllm-json tensorrt-llm sglang "}};

Status check_own_options(const CLI::App & app, const std::string & target) {
    for (const OwnOption & own : kOwnOptions) {
        if (app.count(own.option) == 0 || std::string(own.targets).find(" " + target + " ") != std::string::npos) continue;
        return Error{fmt::format("{} means nothing for {} (it belongs to:{})", own.option, target,
                                 std::string(own.targets).substr(0, std::string(own.targets).size() - 1))};
    }
    return ok_status();
}

Status take_choices(Options & o) {
    if (o.approx == "fit")
        return Error{
            "--approx=fit lowers the layers that matter least, and a plan holds no scores of layers: use --approx=raise"};
    o.recipe.approx = o.approx.empty() ? recipes::Approx::refuse : recipes::Approx::raise;
    if (!o.index.empty())
        o.recipe.index = o.index == "model" ? recipes::IndexKind::model
                         : o.index == "kv"  ? recipes::IndexKind::kv
                                            : recipes::IndexKind::full;
    return ok_status();
}

// The recipe last: where it stands, what belongs to it stands too. On failure nothing of it is left.
Status write_all(const Options & o, const PrecisionPlan & plan, const recipes::Exported & out) {
    const std::string loss_path = o.output + ".loss.json", plan_path = o.output + ".plan.json";
    std::error_code   ignored;
    if (out.loss.worst() == recipes::LossClass::same) {
        std::filesystem::remove(loss_path, ignored);  // of an earlier export to the same name
    } else {
        KVT_CHECK_OK(write_file_atomic(loss_path, recipes::loss_json(plan, out.loss).dump(2, ' ', true) + "\n"));
    }
    Status status = out.needs_plan_beside ? write_plan_files(plan, plan_path) : ok_status();
    if (status) status = write_file_atomic(o.output, out.text);
    if (status) return status;
    std::filesystem::remove(loss_path, ignored);
    std::filesystem::remove(plan_path, ignored);
    return status;
}

int list_targets() {
    Table table({{"target", Align::left}, {"what", Align::left}});
    for (const recipes::Target & target : recipes::targets()) table.row({std::string(target.name), std::string(target.what)});
    fmt::print("{}", table.text());
    return 0;
}

Result<int> run(Options & o, const CLI::App & app) {
    if (o.list) return list_targets();
    if (o.plan.empty() || o.target.empty())
        return Error{"export needs PLAN and --to TARGET (kvtuner export --list names the targets)"};
    KVT_CHECK_OK(check_own_options(app, o.target));
    KVT_CHECK_OK(take_choices(o));
    std::optional<ModelInfo> model;
    if (!o.model.empty()) {
        KVT_TRY(model, read_model_info(o.model));
    }
    KVT_TRY(const PrecisionPlan plan, load_plan_argument(o.plan, model, o.force ? Force::yes : Force::no));
    o.recipe.producer_version = build_info::kVersion;
    o.recipe.model_path       = o.model;
    if (!looks_like_short_form(o.plan)) o.recipe.plan_path = o.plan;
    if (const auto plugin = find_plugin(); plugin.ok()) o.recipe.plugin_path = *plugin;
    KVT_TRY(const recipes::Exported out, recipes::export_plan(plan, o.target, o.recipe));
    if (!o.output.empty()) KVT_CHECK_OK(write_all(o, plan, out));
    if (o.json) {
        print_json({{"schema", "kvtuner.export"},
                    {"schema_version", 1},
                    {"target", o.target},
                    {"output", o.output},
                    {"text", out.text},
                    {"loss", recipes::loss_json(plan, out.loss)},
                    {"notes", out.notes}});
        return 0;
    }
    const std::string report = loss_text(plan, out.loss) + notes_text(out.notes);
    if (o.output.empty()) {
        fmt::print("{}", out.text);
        fmt::print(stderr, "{}", report);
    } else {
        fmt::print("wrote {} for {}\n{}", o.output, o.target, report);
    }
    return 0;
}

}  // namespace

void add_export(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("export", "Write a plan as the recipe of another engine");
    app->add_option("PLAN", o->plan, "Plan file, or a short form with -m");
    app->add_option("--to", o->target, "Target; --list names them");
    app->add_flag("--list", o->list, "List the targets");
    app->add_option("-o,--output", o->output,
                    "File to write, with FILE.loss.json beside it if anything differs; default: stdout");
    app->add_flag(
           "--approx{raise}", o->approx,
           "Write what the target cannot express as its next wider type (=raise), never with fewer bits, and report the loss")
        ->check(CLI::IsMember({"raise", "fit"}));
    app->add_option("-m,--model", o->model, "GGUF model; the plan is checked against it");
    force_option(*app, o->force);
    app->add_option("--index", o->index, "What layer numbers count, where engines do not say: model, kv or full")
        ->check(CLI::IsMember({"model", "kv", "full"}));
    app->add_option("--hf-attn-path", o->recipe.hf_attn_path, "modelopt: path of attention modules, with {i} for the layer");
    app->add_option("--modelopt-form", o->recipe.modelopt_form, "modelopt: hf, config or draft")->capture_default_str();
    app->add_option("--producer-name", o->recipe.producer_name, "modelopt: the producer that the file names")
        ->capture_default_str();
    app->add_option("--vllm-dtype", o->recipe.vllm_dtype, "vllm: the cache type, instead of the one that fits the bits");
    app->add_option("--sglang-dialect", o->recipe.sglang_dialect, "sglang: 17530 or 15420")->capture_default_str();
    app->add_option("--ninfer-4bit", o->recipe.ninfer_4bit, "ninfer: nvfp4, iso4e or rk4v4")->capture_default_str();
    app->add_flag("--json", o->json, "Print JSON");
    app->footer(R"(What a target cannot express is an error, unless --approx is given. docs/formats/exports.md shows each target.
Examples:
  kvtuner export plan.json --to kvtuner-yaml -o Model_kivi_KVTuner4_0.yaml
  kvtuner export plan.json --to ik --approx
  kvtuner export plan.json --to modelopt --hf-attn-path 'model.layers.{i}.self_attn' --approx -o hf_quant_config.json
  kvtuner export plan.json --to llama-cpp -m model.gguf
)");
    app->callback([&commands, o, app] { commands.action = [o, app] { return run(*o, *app); }; });
}

}  // namespace kvt::cli
