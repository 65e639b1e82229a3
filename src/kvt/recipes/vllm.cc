// vLLM's released flags: one cache type for all layers, and a list of layers that stay at 16 bits.
#include <algorithm>

#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

namespace {

// Without --vllm-dtype: one type for each pair that vLLM can store. Stored bits count codes only, except for FP8 and NVFP4.
const TargetType kDefaults[] = {
    {"int4_per_token_head", 4, 4, 4, 4}, {"turboquant_k8v4", 8, 4, 8, 4}, {"int8_per_token_head", 8, 8, 8, 8}};

const TargetType kByName[] = {
    {"fp8", 8, 8, 8, 8},
    {"fp8_e4m3", 8, 8, 8, 8},
    {"fp8_e5m2", 8, 8, 8, 8},
    {"fp8_inc", 8, 8, 8, 8},
    {"fp8_per_token_head", 8, 8, 8, 8},
    {"int8_per_token_head", 8, 8, 8, 8},
    {"int4_per_token_head", 4, 4, 4, 4},
    {"nvfp4", 4, 4, 4.5, 4.5},
    {"nvfp4_4over6", 4, 4, 4.5, 4.5},
    {"turboquant_k8v4", 8, 4, 8, 4},
    {"turboquant_4bit_nc", 4, 4, 4, 4},
    {"turboquant_k3v4_nc", 3, 4, 3, 4},
    {"turboquant_3bit_nc", 3, 3, 3, 3},
};

const TargetType k16Bits{"auto", 16, 16, 16, 16};

Result<std::vector<TargetType>> candidates(const ExportOptions & options, std::string_view target) {
    if (options.vllm_dtype.empty()) return std::vector<TargetType>(std::begin(kDefaults), std::end(kDefaults));
    std::string names;
    for (const TargetType & type : kByName) {
        if (type.name == options.vllm_dtype) return std::vector<TargetType>{type};
        names += (names.empty() ? "" : ", ") + type.name;
    }
    return Error{fmt::format("{}: --vllm-dtype \"{}\" is unknown (known: {})", target, options.vllm_dtype, names)};
}

// The largest planned bits of all layers that are quantized on both sides: what the one type has to cover.
LayerPlan needed(const PrecisionPlan & plan) {
    LayerPlan most;
    most.k.bits = most.v.bits = 0;
    for (const LayerPlan & layer : plan.layers) {
        if (layer.k.bits == 16 || layer.v.bits == 16) continue;
        most.k = layer.k.bits > most.k.bits ? layer.k : most.k;
        most.v = layer.v.bits > most.v.bits ? layer.v : most.v;
    }
    return most;
}

Status refuse_second_pair(const PrecisionPlan & plan, const LayerPlan & need, std::string_view target) {
    std::vector<size_t> others;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const LayerPlan & layer = plan.layers[i];
        if (layer.k.bits == 16 || layer.v.bits == 16) continue;
        if (layer.k.bits != need.k.bits || layer.v.bits != need.v.bits) others.push_back(i);
    }
    if (others.empty()) return ok_status();
    return refusal(target, plan, others.front(),
                   fmt::format("it has one type beside 16 bits, and another layer needs {}", pair_name(need.k.bits, need.v.bits)),
                   others.size(), "--approx=raise writes one type that covers all and reports the loss");
}

struct Flags {
    std::string              dtype;
    std::vector<std::string> skipped;
    Exported                 out;
};

Result<Flags> flags_of(const PrecisionPlan & plan, const ExportOptions & options, std::string_view target) {
    const LayerPlan need = needed(plan);
    if (need.k.bits == 0)
        return Error{fmt::format("{}: every layer is written as 16 bits, so there is nothing to export", target)};
    KVT_TRY(const std::vector<TargetType> types, candidates(options, target));
    Flags flags;
    flags.out.loss.target = target;
    KVT_TRY(const LayerNumbers numbers, unsettled_numbers(plan, target, options.index));
    KVT_TRY(flags.out.loss.dropped, dropped_details(plan, target, options.approx));

    if (options.approx == Approx::refuse) KVT_CHECK_OK(refuse_second_pair(plan, need, target));
    const auto type = cover(types, plan, need);
    if (!type)
        return Error{fmt::format("{}: {} holds fewer bits than the {} that the plan needs", target, options.vllm_dtype,
                                 pair_name(need.k.bits, need.v.bits))};
    KVT_TRY(flags.out.loss.layers, map_layers(plan, target, {type->type, k16Bits}, options.approx));
    flags.dtype                   = type->type.name;
    flags.out.loss.scales_counted = !flags.dtype.ends_with("_per_token_head") && !flags.dtype.starts_with("turboquant");
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const bool wide = plan.layers[i].k.bits == 16 || plan.layers[i].v.bits == 16;
        if (wide && numbers.of[i] >= 0) flags.skipped.push_back(std::to_string(numbers.of[i]));
    }
    flags.out.notes = {"vLLM versions differ in their cache types: check that yours lists it under --kv-cache-dtype"};
    if (flags.dtype.starts_with("turboquant"))
        flags.out.notes.push_back("vLLM may add the first and last layers to the skip list of TurboQuant types by itself");
    return flags;
}

}  // namespace

Result<Exported> write_vllm(const PrecisionPlan & plan, const ExportOptions & options) {
    KVT_TRY(Flags flags, flags_of(plan, options, "vllm"));
    flags.out.text = "--kv-cache-dtype " + flags.dtype;
    if (!flags.skipped.empty()) flags.out.text += fmt::format(" --kv-cache-dtype-skip-layers {}", fmt::join(flags.skipped, " "));
    flags.out.text += "\n";
    return std::move(flags.out);
}

Result<Exported> write_vllm_json(const PrecisionPlan & plan, const ExportOptions & options) {
    KVT_TRY(Flags flags, flags_of(plan, options, "vllm-json"));
    const nlohmann::ordered_json document{{"kv_cache_dtype", flags.dtype}, {"kv_cache_dtype_skip_layers", flags.skipped}};
    flags.out.text = document.dump(2, ' ', true) + "\n";
    return std::move(flags.out);
}

}  // namespace kvt::recipes
