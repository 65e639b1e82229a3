// llama.cpp: the plan itself through the plugin, or llama.cpp's own cache types if all layers are alike.
#include <algorithm>

#include <fmt/format.h>

#include "kvt/base/shell.h"
#include "kvt/recipes/exporters.h"
#include "kvt/recipes/ggml_types.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

namespace {

std::vector<GgmlType> stock_by_width() {
    std::vector<GgmlType> types;
    for (const GgmlType & type : kGgmlTypes) {
        if (type.stock) types.push_back(type);
    }
    return types;
}

std::vector<TargetType> stock_types() {
    std::vector<TargetType>     types;
    const std::vector<GgmlType> widths = stock_by_width();
    for (const GgmlType & k : widths) {
        for (const GgmlType & v : widths)
            types.push_back({fmt::format("-ctk {} -ctv {}", k.name, v.name), k.bits, v.bits, k.stored, v.stored});
    }
    return types;
}

}  // namespace

Result<Exported> write_llama_cpp(const PrecisionPlan & plan, const ExportOptions & options) {
    Exported out;
    out.loss.target = "llama-cpp";
    out.loss.layers = layers_as_planned(plan);
    if (options.plan_path.empty()) return Error{"llama-cpp: needs a plan file (kvtuner plan make writes one)"};
    const std::string plugin = options.plugin_path.empty() ? "libggml-kvtuner.so" : options.plugin_path;
    const std::string model  = options.model_path.empty() ? "model.gguf" : options.model_path;
    out.text                 = fmt::format("export GGML_BACKEND_PATH={}\nexport KVT_PLAN={}\nllama-server -m {} --device KVT0\n",
                                           shell_quoted(plugin), shell_quoted(options.plan_path), shell_quoted(model));
    out.notes = {"llama-bench, llama-perplexity and llama-completion take the same two variables and --device KVT0"};
    return out;
}

Result<Exported> write_llama_cpp_stock(const PrecisionPlan & plan, const ExportOptions & options) {
    constexpr std::string_view kTarget = "llama-cpp-stock";
    std::vector<size_t>        others;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const LayerPlan &layer = plan.layers[i], &first = plan.layers[0];
        if (layer.k.bits != first.k.bits || layer.v.bits != first.v.bits) others.push_back(i);
    }
    if (!others.empty())
        return refusal(kTarget, plan, others.front(),
                       fmt::format("it has one type for K and one for V of all layers, and layer {} has {}", plan.layers[0].layer,
                                   pair_of(plan.layers[0])),
                       others.size(), "the target llama-cpp runs the plan as it is");
    const ModelInfo & m     = plan.model;
    const bool        k_bad = plan.layers[0].k.bits != 16 && m.head_dim_k % kGgmlBlock != 0;
    const bool        v_bad = plan.layers[0].v.bits != 16 && m.head_dim_v % kGgmlBlock != 0;
    if (k_bad || v_bad)
        return Error{fmt::format("{}: its types hold blocks of {} values, and head_dim is {}", kTarget, kGgmlBlock,
                                 k_bad ? m.head_dim_k : m.head_dim_v)};
    Exported out;
    out.loss.target = kTarget;
    KVT_TRY(out.loss.dropped, dropped_details(plan, kTarget, options.approx));
    KVT_TRY(out.loss.layers, map_layers(plan, kTarget, stock_types(), options.approx));
    const TargetType & type = out.loss.layers[0].type;
    out.text                = type.name + (type.v_bits == 16 ? "\n" : " -fa on\n");  // quantized V needs flash attention
    return out;
}

}  // namespace kvt::recipes
