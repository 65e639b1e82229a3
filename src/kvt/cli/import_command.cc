// kvtuner import: a recipe of others, or a published preset, as a plan for a model.
#include <filesystem>
#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/export_text.h"
#include "kvt/cli/plan_text.h"
#include "kvt/cli/table.h"
#include "kvt/engine/llama/gguf_header.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/plan/schema.h"
#include "kvt/recipes/import.h"
#include "kvt/recipes/presets.h"

namespace kvt::cli {

namespace {

constexpr std::string_view kPreset = "preset:";
constexpr std::string_view kGguf   = "gguf";

struct Options {
    std::string source, from, model, output, mode, presets, approx;
    bool        map_foreign = false, list = false, json = false;
};

Result<std::vector<recipes::Preset>> presets_of(const Options & o) {
    if (o.presets.empty())
        return Error{
            "the published presets are not part of kvtuner, because they carry no licence: get the folder calibration_presets of "
            "github.com/cmd2001/KVTuner and give it with --presets (or in KVT_PRESETS)"};
    return recipes::read_presets(o.presets);
}

Result<int> list(const Options & o) {
    KVT_TRY(const auto presets, presets_of(o));
    Table                  table({{"preset", Align::left}, {"mode", Align::left}, {"layers"}, {"payload bits"}});
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const recipes::Preset & preset : presets) {
        table.row({preset.name, std::string(mode_name(preset.mode)), std::to_string(preset.pairs.size()),
                   fmt::format("{:.4f}", preset.payload_bits())});
        rows.push_back({{"name", preset.name},
                        {"model", preset.model},
                        {"mode", mode_name(preset.mode)},
                        {"n_layer", preset.pairs.size()},
                        {"payload_bits", preset.payload_bits()}});
    }
    if (o.json) {
        print_json({{"schema", "kvtuner.presets"}, {"schema_version", 1}, {"presets", rows}});
    } else {
        fmt::print("{}", table.text());
    }
    return 0;
}

Result<std::string> kind_of(const Options & o) {
    if (!o.from.empty()) return o.from;
    const std::string extension = std::filesystem::path(o.source).extension().string();
    if (extension == ".yaml" || extension == ".yml") return std::string("kvtuner-yaml");
    if (extension == ".json") return std::string("modelopt");
    if (extension == ".gguf") return std::string(kGguf);
    return Error{fmt::format("\"{}\": the name ends in none of .yaml, .json and .gguf: say what it is with --from", o.source)};
}

// A plan that the file carries keeps its own provenance: nothing is made anew.
Result<recipes::Imported> import_gguf(const std::string & path, const recipes::ImportOptions & options) {
    KVT_TRY(const GgufHeader header, GgufHeader::read(path));
    recipes::GgufKeys keys;
    KVT_TRY(keys.schema_version, header.number("kvtuner.plan.schema_version"));
    KVT_TRY(keys.plan, header.raw_text("kvtuner.plan"));
    KVT_TRY(keys.layers, header.numbers("kvtuner.plan.layers"));
    KVT_TRY(keys.k_bits, header.numbers("kvtuner.plan.k_bits"));
    KVT_TRY(keys.v_bits, header.numbers("kvtuner.plan.v_bits"));
    auto imported = recipes::import_gguf_keys(keys, options);
    if (!imported) return Error{fmt::format("model {}: {}", path, imported.error().message)};
    return imported;
}

Result<recipes::Imported> import_source(const Options & o, const recipes::ImportOptions & options) {
    if (o.source.starts_with(kPreset)) {
        KVT_TRY(const auto presets, presets_of(o));
        return recipes::import_preset(presets, std::string_view(o.source).substr(kPreset.size()), options);
    }
    KVT_TRY(const std::string kind, kind_of(o));
    if (kind == kGguf) return import_gguf(o.source, options);
    KVT_TRY(const std::string text, read_file(o.source));
    const std::string name = std::filesystem::path(o.source).filename().string();
    auto              imported =
        kind == "modelopt" ? recipes::import_modelopt(text, options) : recipes::import_kvtuner_yaml(text, name, options);
    if (!imported) return Error{fmt::format("recipe \"{}\": {}", o.source, imported.error().message)};
    imported->plan.provenance.inputs.push_back({"recipe", sha256_hex(text)});
    return imported;
}

Result<int> run(const Options & o) {
    if (o.list) return list(o);
    const auto kind    = kind_of(o);
    const bool carried = !o.source.starts_with(kPreset) && kind.ok() && *kind == kGguf;
    if (o.source.empty() || (o.model.empty() && !carried) || o.output.empty())
        return Error{
            "import needs SOURCE, -m MODEL (unless SOURCE is a GGUF file) and -o PLAN (kvtuner import --list names the presets)"};
    recipes::ImportOptions options;
    options.approx      = o.approx.empty() ? recipes::Approx::refuse : recipes::Approx::raise;
    options.map_foreign = o.map_foreign;
    if (!o.mode.empty()) {
        KVT_TRY(options.mode, parse_mode(o.mode));
    }
    KVT_TRY(options.model, read_model_info(o.model.empty() ? o.source : o.model));
    KVT_TRY(recipes::Imported imported, import_source(o, options));
    PrecisionPlan & plan = imported.plan;
    if (!carried) {
        plan.provenance.tool_version = build_info::kVersion;
        plan.provenance.inputs.insert(plan.provenance.inputs.begin(), {"model", options.model.file_sha256});
    }
    KVT_CHECK_OK(write_file_atomic(o.output, write_plan(plan)));

    const schema::Memory memory = schema::memory_of(plan);
    if (o.json) {
        print_json({{"schema", "kvtuner.import"},
                    {"schema_version", 1},
                    {"source", o.source},
                    {"plan", o.output},
                    {"mode", mode_name(plan.mode)},
                    {"n_layer", plan.layers.size()},
                    {"payload_bits", memory.payload_bits},
                    {"effective_bits", memory.effective_bits},
                    {"at_tokens", memory.at_tokens},
                    {"notes", imported.notes}});
    } else {
        fmt::print("wrote {} ({}, {} layers, payload {} bits, effective {} bits at {} tokens)\n{}", o.output,
                   mode_name(plan.mode), plan.layers.size(), bits_text(memory.payload_bits), bits_text(memory.effective_bits),
                   memory.at_tokens, notes_text(imported.notes));
    }
    return 0;
}

}  // namespace

void add_import(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("import", "Make a plan out of another engine's recipe or a published preset");
    app->add_option("SOURCE", o->source,
                    "KVTuner YAML, ModelOpt JSON (map or search report), GGUF file that carries a plan, or preset:NAME");
    app->add_option("-m,--model", o->model, "GGUF model that the plan is for; default for a GGUF SOURCE: itself");
    app->add_option("-o,--output", o->output, "Plan file to write");
    app->add_option("--mode", o->mode, "How integers are stored, where the recipe does not say: kivi or per-token")
        ->check(CLI::IsMember({"kivi", "per-token", "per-token-asym"}));
    app->add_option("--from", o->from, "What SOURCE is, where its name does not say")
        ->check(CLI::IsMember({"kvtuner-yaml", "modelopt", "gguf"}));
    app->add_flag("--map-foreign", o->map_foreign, "Make FP8 and NVFP4 layers 8 and 4 bit integers");
    app->add_flag("--approx{raise}", o->approx, "Where the heads of a layer differ, take the largest bits")
        ->check(CLI::IsMember({"raise"}));
    app->add_option("--presets", o->presets, "Published presets: folder of YAML files, or a JSON file")->envname("KVT_PRESETS");
    app->add_flag("--list", o->list, "List the presets");
    app->add_flag("--json", o->json, "Print JSON");
    app->footer(R"(Examples:
  kvtuner import Model_kivi_KVTuner4_0.yaml -m model.gguf -o plan.json
  kvtuner import --list --presets KVTuner/calibration_presets
  kvtuner import preset:Qwen2.5-7B-Instruct_kivi_KVTuner4_0 --presets KVTuner/calibration_presets -m model.gguf -o plan.json
  kvtuner import model-with-plan.gguf -o plan.json
  kvtuner import hf_quant_config.json --map-foreign --mode per-token -m model.gguf -o plan.json
)");
    app->callback([&commands, o] { commands.action = [o] { return run(*o); }; });
}

}  // namespace kvt::cli
