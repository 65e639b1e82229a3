// The original KVTuner's YAML: layer -> nbits_key, nbits_value, and nothing else. Group size and axes go into the call.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

namespace {

constexpr int kWidths[] = {2, 4, 8};

// Stored bits as the plan's own formats have them: 16 bits of scale and 16 of offset per group.
std::vector<TargetType> types_of(const PrecisionPlan & plan, Mode mode) {
    std::vector<TargetType> types;
    for (const int k : kWidths) {
        for (const int v : kWidths) {
            const Format kf = mode_format(mode, Side::key, k, plan.model.head_dim_k);
            const Format vf = mode_format(mode, Side::value, v, plan.model.head_dim_v);
            types.push_back({pair_name(k, v), k, v, k + 32.0 / kf.group, v + 32.0 / vf.group});
        }
    }
    return types;
}

// Custom plans are read as kivi if any key is per channel.
Mode mode_of(const PrecisionPlan & plan) {
    if (plan.mode == Mode::kivi || plan.mode == Mode::per_token_asym) return plan.mode;
    for (const LayerPlan & layer : plan.layers) {
        if (layer.k.axis == Axis::per_channel) return Mode::kivi;
    }
    return Mode::per_token_asym;
}

bool same_format(const LayerPlan & layer, Mode mode, const ModelInfo & m) {
    return layer.k == mode_format(mode, Side::key, layer.k.bits, m.head_dim_k) &&
           layer.v == mode_format(mode, Side::value, layer.v.bits, m.head_dim_v);
}

std::string call_arguments(const PrecisionPlan & plan, Mode mode) {
    if (mode != Mode::kivi) return "axis_key=0, axis_value=0, q_group_size=-1, residual_length=0";
    // KVTuner wants whole groups; the 32 are the unfinished block.
    const int residual = 32 + (plan.kept.residual_tokens + 31) / 32 * 32;
    return fmt::format("axis_key=1, axis_value=0, q_group_size=32, residual_length={}", residual);
}

Result<Exported> write(const PrecisionPlan & plan, const ExportOptions & options, std::string_view target, bool per_head) {
    const Mode mode = mode_of(plan);
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        if (plan.layers[i].layer == static_cast<int>(i)) continue;
        return refusal(target, plan, i, fmt::format("it lists every model layer, and layer {} owns no cache", i), 1, "");
    }
    if (plan.layers.size() != static_cast<size_t>(plan.model.n_layer))
        return Error{fmt::format("{}: it lists every model layer, and only {} of {} own a cache", target, plan.layers.size(),
                                 plan.model.n_layer)};
    std::vector<size_t> wide;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        if (plan.layers[i].k.codec == Codec::f16 || plan.layers[i].v.codec == Codec::f16) wide.push_back(i);
    }
    if (!wide.empty()) return refusal(target, plan, wide.front(), "it has no 16-bit layers", wide.size(), "");

    Exported out;
    out.loss.target = target;
    KVT_TRY(out.loss.dropped, dropped_details(plan, target, options.approx, {.residual = mode == Mode::kivi}));
    KVT_TRY(out.loss.layers, map_layers(plan, target, types_of(plan, mode), options.approx));
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        WrittenLayer & layer = out.loss.layers[i];
        if (layer.loss == LossClass::substituted && same_format(plan.layers[i], mode, plan.model)) layer.loss = LossClass::same;
        const std::string pair = fmt::format("nbits_key: {}", layer.type.k_bits);
        if (!per_head) {
            out.text += fmt::format("{}:\n  {}\n  nbits_value: {}\n", i, pair, layer.type.v_bits);
            continue;
        }
        out.text += fmt::format("{}:\n", i);
        for (int head = 0; head < plan.model.n_kv_heads; ++head)
            out.text += fmt::format("  {}: {{{}, nbits_value: {}}}\n", head, pair, layer.type.v_bits);
    }
    out.notes.push_back(fmt::format(
        "call KVTuner with FlexibleQuantizedCacheConfig({}, {}), asym=True",
        per_head ? "per_head_quant=True, per_head_config_path=FILE" : "per_layer_quant=True, per_layer_config_path=FILE",
        call_arguments(plan, mode)));
    return out;
}

}  // namespace

Result<Exported> write_kvtuner_yaml(const PrecisionPlan & plan, const ExportOptions & options) {
    return write(plan, options, "kvtuner-yaml", false);
}

Result<Exported> write_kvtuner_yaml_per_head(const PrecisionPlan & plan, const ExportOptions & options) {
    return write(plan, options, "kvtuner-yaml-per-head", true);
}

}  // namespace kvt::recipes
