// ik_llama.cpp's flags: one type for K and one for V, and others for the first and the last layers. Three runs at most, so a
// plan is fitted: K and V apart, each layer at least as wide as planned, fewest bytes added.
#include <algorithm>

#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/ggml_types.h"
#include "kvt/recipes/mapping.h"
#include "kvt/recipes/three_runs.h"

namespace kvt::recipes {

namespace {

constexpr std::string_view kTarget = "ik";

constexpr int kVhadDims[] = {64, 128, 256};

int bits_of(const LayerPlan & layer, Side side) { return side == Side::key ? layer.k.bits : layer.v.bits; }

int need_of(int bits) {
    int need = 0;
    while (kGgmlTypes[need].bits < bits) need++;
    return need;
}

Runs runs_of(const PrecisionPlan & plan, Side side) {
    std::vector<int>    need(static_cast<size_t>(plan.model.n_layer), -1);  // layers without a cache may take any type
    std::vector<double> stored;
    for (const LayerPlan & layer : plan.layers) need[static_cast<size_t>(layer.layer)] = need_of(bits_of(layer, side));
    for (const GgmlType & type : kGgmlTypes) stored.push_back(type.stored);
    return fit_three_runs(need, stored);
}

// `last` is applied after `first`.
const GgmlType & type_at(const Runs & runs, int layer, int n_layer) {
    const int need = layer >= n_layer - runs.last ? runs.last_need : layer < runs.first ? runs.first_need : runs.middle_need;
    return kGgmlTypes[need];
}

std::string flags_of(const Runs & runs, char side) {
    std::string text = fmt::format("-ct{} {}", side, kGgmlTypes[runs.middle_need].name);
    if (runs.first > 0) text += fmt::format(" -ct{}-first {},{}", side, kGgmlTypes[runs.first_need].name, runs.first);
    if (runs.last > 0) text += fmt::format(" -ct{}-last {},{}", side, kGgmlTypes[runs.last_need].name, runs.last);
    return text;
}

std::vector<WrittenLayer> written_layers(const PrecisionPlan & plan, const Runs & k, const Runs & v) {
    std::vector<WrittenLayer> layers;
    for (const LayerPlan & layer : plan.layers) {
        const GgmlType & kt    = type_at(k, layer.layer, plan.model.n_layer);
        const GgmlType & vt    = type_at(v, layer.layer, plan.model.n_layer);
        const bool       exact = kt.bits == layer.k.bits && vt.bits == layer.v.bits;
        layers.push_back({{fmt::format("{}/{}", kt.name, vt.name), kt.bits, vt.bits, kt.stored, vt.stored},
                          !exact                ? LossClass::changed
                          : is_quantized(layer) ? LossClass::substituted
                                                : LossClass::same});
    }
    return layers;
}

Status refuse_changes(const PrecisionPlan & plan, const std::vector<WrittenLayer> & layers) {
    size_t at = layers.size(), n = 0;
    bool   narrow = false;
    for (size_t i = layers.size(); i-- > 0;) {
        if (layers[i].loss != LossClass::changed) continue;
        at     = i;
        narrow = plan.layers[i].k.bits < kGgmlTypes[0].bits || plan.layers[i].v.bits < kGgmlTypes[0].bits;
        n++;
    }
    if (n == 0) return ok_status();
    return refusal(kTarget, plan, at,
                   narrow ? "its narrowest type is q4_0" : "it has three runs of layers for K and three for V, which do not fit",
                   n, kRaiseHelps);
}

bool has_hadamard(const PrecisionPlan & plan, Side side) {
    return std::any_of(plan.layers.begin(), plan.layers.end(), [&](const LayerPlan & layer) {
        const auto found = plan.transforms.find(side == Side::key ? layer.k_transform : layer.v_transform);
        return found != plan.transforms.end() && found->second == Rotation::hadamard;
    });
}

void add_warnings(Exported & out, const Runs & k) {
    if (flags_of(k, 'k').find("q4_0") != std::string::npos)
        out.notes.push_back("q4_0 keys on the CPU need an ik_llama.cpp built with -DGGML_IQK_FA_ALL_QUANTS=ON");
    if (out.text.find("q5_0") != std::string::npos)
        out.notes.push_back("q5_0 is not among the types of its fast CPU attention: measure the speed first");
}

}  // namespace

Result<Exported> write_ik_llama(const PrecisionPlan & plan, const ExportOptions & options) {
    if (plan.model.arch.find("pangu") != std::string::npos)
        return Error{fmt::format("{}: the architecture \"{}\" ignores its per-layer flags", kTarget, plan.model.arch)};
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const bool k_bad = plan.layers[i].k.bits != 16 && plan.model.head_dim_k % kGgmlBlock != 0;
        const bool v_bad = plan.layers[i].v.bits != 16 && plan.model.head_dim_v % kGgmlBlock != 0;
        if (!k_bad && !v_bad) continue;
        return refusal(kTarget, plan, i,
                       fmt::format("its types hold blocks of {} values, and head_dim is {}", kGgmlBlock,
                                   k_bad ? plan.model.head_dim_k : plan.model.head_dim_v),
                       plan.layers.size(), "");
    }
    const bool k_had = has_hadamard(plan, Side::key);
    const bool v_had = has_hadamard(plan, Side::value) &&
                       std::find(std::begin(kVhadDims), std::end(kVhadDims), plan.model.head_dim_v) != std::end(kVhadDims);
    const Runs k = runs_of(plan, Side::key), v = runs_of(plan, Side::value);

    Exported out;
    out.loss.target = kTarget;
    KVT_TRY(out.loss.dropped, dropped_details(plan, kTarget, options.approx, {.hadamard_k = k_had, .hadamard_v = v_had}));
    out.loss.layers = written_layers(plan, k, v);
    if (options.approx == Approx::refuse) KVT_CHECK_OK(refuse_changes(plan, out.loss.layers));
    out.text = fmt::format("{} {}{}{}\n", flags_of(k, 'k'), flags_of(v, 'v'), k_had ? " -khad" : "", v_had ? " -vhad" : "");
    add_warnings(out, k);
    return out;
}

}  // namespace kvt::recipes
