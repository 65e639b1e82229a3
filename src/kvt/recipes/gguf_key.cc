// The plan as GGUF metadata (keys documented in docs/formats/exports.md), as a JSON list of keys, types and values.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

Result<Exported> write_gguf_key(const PrecisionPlan & plan, const ExportOptions &) {
    constexpr std::string_view kTarget = "gguf";
    if (!plan.calibration.file.empty() || !plan.transforms.empty())
        return Error{fmt::format("{}: the transforms of this plan are in a second file, which metadata cannot hold", kTarget)};
    Exported out;
    out.loss.target       = kTarget;
    out.loss.layers       = layers_as_planned(plan);
    nlohmann::json k_bits = nlohmann::json::array(), v_bits = nlohmann::json::array(), layers = nlohmann::json::array();
    for (const LayerPlan & layer : plan.layers) {
        layers.push_back(layer.layer);
        k_bits.push_back(layer.k.bits);
        v_bits.push_back(layer.v.bits);
    }
    PrecisionPlan embedded = plan;
    // Adding a key changes the file and its hash, so the embedded plan makes no claim about it.
    embedded.model.file_sha256.clear();
    const nlohmann::ordered_json document{
        {"kvtuner.plan.schema_version", {{"type", "uint32"}, {"value", 1}}},
        {"kvtuner.plan.layers", {{"type", "array:int32"}, {"value", layers}}},
        {"kvtuner.plan.k_bits", {{"type", "array:int32"}, {"value", k_bits}}},
        {"kvtuner.plan.v_bits", {{"type", "array:int32"}, {"value", v_bits}}},
        {"kvtuner.plan", {{"type", "string"}, {"value", write_plan(embedded)}}},
    };
    out.text  = document.dump(2, ' ', true) + "\n";
    out.notes = {
        "docs/formats/exports.md shows how to put these keys into a GGUF file; llama.cpp ignores keys that it does not know"};
    return out;
}

}  // namespace kvt::recipes
