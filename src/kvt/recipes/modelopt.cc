// NVIDIA ModelOpt's checkpoint map, schema 1: hf_quant_config.json, its older draft, and the part of config.json.
#include <algorithm>

#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/mapping.h"
#include "kvt/recipes/modelopt_map.h"

namespace kvt::recipes {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view kNumber = "{i}";

std::vector<TargetType> types_of(const PrecisionPlan & plan, bool split) {
    std::vector<TargetType> types{{std::string(kNvfp4), 4, 4, 4.5, 4.5}};
    // Its readers take the split name only where K and V rows are equally wide.
    if (split && plan.model.head_dim_k == plan.model.head_dim_v) types.push_back({std::string(kFp8KNvfp4V), 8, 4, 8, 4.5});
    types.push_back({std::string(kFp8), 8, 8, 8, 8});
    types.push_back({"16 bits", 16, 16, 16, 16});
    return types;
}

Result<ModulePath> path_template(const std::string & text, std::string_view target) {
    if (text.empty())
        return Error{
            fmt::format("{}: layers are named by the path of the attention module in the Hugging Face checkpoint, which a "
                        "GGUF file does not tell: give --hf-attn-path, for example model.layers.{{i}}.self_attn",
                        target)};
    std::string with_zero = text;
    if (const size_t at = with_zero.find(kNumber); at != std::string::npos) with_zero.replace(at, kNumber.size(), "0");
    const auto path = parse_module_path(with_zero);
    if (!path || with_zero == text || path->before + std::string(kNumber) + path->after != text)
        return Error{fmt::format("{}: --hf-attn-path \"{}\" is not <names>.layers.{{i}}.<name>", target, text)};
    return *path;
}

ordered_json document(const ExportOptions & o, const ordered_json & layers, std::string_view common) {
    if (o.modelopt_form == "config") {
        ordered_json part{{"quant_method", "modelopt"},
                          {"ignore", ordered_json::array()},
                          {"kv_cache_quant_algo", common},
                          {"kv_cache_schema_version", 1},
                          {"kv_cache_quantized_layers", layers}};
        if (common == kFp8) part["kv_cache_scheme"] = {{"dynamic", false}, {"num_bits", 8}, {"type", "float"}};
        return {{"quantization_config", part}};
    }
    ordered_json quantization{
        {"quant_algo", nullptr},         {"quantized_layers", ordered_json::object()}, {"exclude_modules", ordered_json::array()},
        {"kv_cache_quant_algo", common}, {"kv_cache_quantized_layers", layers},        {"kv_cache_schema_version", 1}};
    if (o.modelopt_form == "draft") quantization["quant_algo"] = kMixed;
    return {{"producer", {{"name", o.producer_name}, {"version", o.producer_version}}}, {"quantization", quantization}};
}

Result<Exported> write(const PrecisionPlan & plan, const ExportOptions & options, std::string_view target, bool split) {
    if (options.modelopt_form != "hf" && options.modelopt_form != "config" && options.modelopt_form != "draft")
        return Error{fmt::format("{}: --modelopt-form \"{}\" is not hf, config or draft", target, options.modelopt_form)};
    KVT_TRY(const ModulePath path, path_template(options.hf_attn_path, target));
    Exported out;
    out.loss.target       = target;
    out.needs_plan_beside = true;
    KVT_TRY(out.loss.dropped, dropped_details(plan, target, options.approx));
    KVT_TRY(out.loss.layers, map_layers(plan, target, types_of(plan, split), options.approx));

    ordered_json     layers = ordered_json::object();
    std::string_view common = kMixed;
    bool             agree  = true;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const TargetType & type = out.loss.layers[i].type;
        agree                   = agree && type.k_bits != 16 && type.name == out.loss.layers[0].type.name;
        if (type.k_bits == 16) continue;  // 16-bit layers are left out, and the common name with them
        layers[path.with(plan.layers[i].layer)] = {{"quant_algo", type.name}};
    }
    if (layers.empty()) return Error{fmt::format("{}: every layer is written as 16 bits, so there is nothing to export", target)};
    if (agree) common = out.loss.layers[0].type.name;
    out.text  = document(options, layers, common).dump(2, ' ', true) + "\n";
    out.notes = {"this file alone is no runnable checkpoint: FP8 and NVFP4 layers need scales in it, made by ModelOpt"};
    if (layers.size() < plan.layers.size())
        out.notes.push_back("layers that are left out are meant to stay at 16 bits; check that your reader does so");
    return out;
}

}  // namespace

Result<Exported> write_modelopt(const PrecisionPlan & plan, const ExportOptions & options) {
    return write(plan, options, "modelopt", true);
}

Result<Exported> write_vllm_layerwise(const PrecisionPlan & plan, const ExportOptions & options) {
    KVT_TRY(Exported out, write(plan, options, "vllm-layerwise", false));
    out.notes.push_back(
        "vLLM reads the map only with --kv-cache-dtype auto, and only in versions that have the layer-wise reader "
        "(pull request 56116, open in September 2026); its skip list still wins");
    return out;
}

}  // namespace kvt::recipes
