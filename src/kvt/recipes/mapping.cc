#include "kvt/recipes/mapping.h"

#include <algorithm>

#include <fmt/format.h>

#include "kvt/plan/schema.h"

namespace kvt::recipes {

namespace {

std::string names_of(const std::vector<TargetType> & types) {
    std::string names;
    for (const TargetType & type : types) names += (names.empty() ? "" : ", ") + type.name;
    return names;
}

std::string plural(int n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

bool has_sealed_format(const PrecisionPlan & plan) {
    return std::any_of(plan.layers.begin(), plan.layers.end(), [](const LayerPlan & layer) {
        return layer.k.store == Store::sealed_block || layer.v.store == Store::sealed_block;
    });
}

// The transform of one side, unless the target does it itself. A calibrated Hadamard transform also centers, which no target
// does.
std::string lost_transform(const PrecisionPlan & plan, const std::string & name, bool hadamard_kept) {
    if (name.empty()) return {};
    const auto     found    = plan.transforms.find(name);
    const Rotation rotation = found == plan.transforms.end() ? Rotation::none : found->second;
    if (rotation == Rotation::hadamard && hadamard_kept)
        return fmt::format("center and scale of transform \"{}\" (its rotation is kept)", name);
    return fmt::format("transform \"{}\" ({})", name, rotation == Rotation::none ? "centering" : schema::rotation_name(rotation));
}

}  // namespace

std::string pair_of(const LayerPlan & layer) { return pair_name(layer.k.bits, layer.v.bits); }

bool is_quantized(const LayerPlan & layer) { return layer.k.codec != Codec::f16 || layer.v.codec != Codec::f16; }

Error refusal(std::string_view target, const PrecisionPlan & plan, size_t at, std::string_view reason, size_t n_at_fault,
              std::string_view advice) {
    const LayerPlan & layer = plan.layers[at];
    return Error{fmt::format("{}: layer {} ({}): {}; {} of {} layers {} at fault{}{}", target, layer.layer, pair_of(layer),
                             reason, n_at_fault, plan.layers.size(), n_at_fault == 1 ? "is" : "are", advice.empty() ? "" : "; ",
                             advice)};
}

std::optional<WrittenLayer> cover(const std::vector<TargetType> & types, const PrecisionPlan & plan, const LayerPlan & layer) {
    const TargetType * best = nullptr;
    double             cost = 0;
    for (const TargetType & type : types) {
        if (type.k_bits < layer.k.bits || type.v_bits < layer.v.bits) continue;
        const double own = plan.model.head_dim_k * type.k_stored + plan.model.head_dim_v * type.v_stored;
        if (best != nullptr && own >= cost) continue;
        best = &type;
        cost = own;
    }
    if (best == nullptr) return std::nullopt;
    const bool exact = best->k_bits == layer.k.bits && best->v_bits == layer.v.bits;
    return WrittenLayer{*best, !exact ? LossClass::changed : is_quantized(layer) ? LossClass::substituted : LossClass::same};
}

Result<std::vector<WrittenLayer>> map_layers(const PrecisionPlan & plan, std::string_view target,
                                             const std::vector<TargetType> & types, Approx approx) {
    std::vector<WrittenLayer> written;
    std::vector<size_t>       uncovered, changed;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const auto layer = cover(types, plan, plan.layers[i]);
        if (!layer) uncovered.push_back(i);
        if (layer && layer->loss == LossClass::changed) changed.push_back(i);
        written.push_back(layer.value_or(WrittenLayer{}));
    }
    if (!uncovered.empty())
        return refusal(target, plan, uncovered.front(), fmt::format("no type of so many bits (it has {})", names_of(types)),
                       uncovered.size(), "");
    if (!changed.empty() && approx == Approx::refuse)
        return refusal(target, plan, changed.front(), fmt::format("no type of these bits (it has {})", names_of(types)),
                       changed.size(), kRaiseHelps);
    return written;
}

std::vector<WrittenLayer> layers_as_planned(const PrecisionPlan & plan) {
    std::vector<WrittenLayer> layers;
    for (const LayerPlan & layer : plan.layers)
        layers.push_back(
            {{format_name(layer.k) + "/" + format_name(layer.v), layer.k.bits, layer.v.bits, 0, 0}, LossClass::same});
    return layers;
}

Result<std::vector<std::string>> dropped_details(const PrecisionPlan & plan, std::string_view target, Approx approx,
                                                 const Keeps & keeps) {
    std::vector<std::string> dropped;
    std::optional<size_t>    first;
    size_t                   n_layers = 0;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        if (!is_quantized(plan.layers[i])) continue;
        n_layers++;
        if (!first) first = i;
        for (const std::string & text : {lost_transform(plan, plan.layers[i].k_transform, keeps.hadamard_k),
                                         lost_transform(plan, plan.layers[i].v_transform, keeps.hadamard_v)}) {
            if (!text.empty() && std::find(dropped.begin(), dropped.end(), text) == dropped.end()) dropped.push_back(text);
        }
    }
    if (!first) return dropped;
    if (plan.kept.sink_tokens > 0) dropped.push_back(plural(plan.kept.sink_tokens, "sink token") + " at 16 bits");
    if (plan.kept.residual_tokens > 0 && !keeps.residual && has_sealed_format(plan))
        dropped.push_back(plural(plan.kept.residual_tokens, "residual token") + " at 16 bits");
    if (dropped.empty() || approx == Approx::raise) return dropped;
    return refusal(target, plan, *first, fmt::format("cannot hold {}", fmt::join(dropped, ", ")), n_layers,
                   "--approx=raise drops it and reports the loss");
}

LayerNumbers layer_numbers(const PrecisionPlan & plan, IndexKind kind) {
    LayerNumbers numbers;
    int          full = 0;
    for (const LayerPlan & layer : plan.layers) {
        const int ordinal = layer.attn == Attention::full ? full++ : -1;
        numbers.of.push_back(kind == IndexKind::model ? layer.layer : kind == IndexKind::kv ? layer.kv : ordinal);
    }
    numbers.count = kind == IndexKind::model ? plan.model.n_layer
                    : kind == IndexKind::kv  ? static_cast<int>(plan.layers.size())
                                             : full;
    return numbers;
}

Result<LayerNumbers> unsettled_numbers(const PrecisionPlan & plan, std::string_view target, std::optional<IndexKind> kind) {
    const LayerNumbers by_model = layer_numbers(plan, IndexKind::model), by_full = layer_numbers(plan, IndexKind::full);
    if (!kind && (by_model.of != by_full.of || by_model.count != by_full.count)) {
        return Error{
            fmt::format("{}: what its layer numbers count is not settled, and here it matters ({} model layers, {} with a cache, "
                        "{} of these with full attention); --index=model, kv or full decides",
                        target, by_model.count, plan.layers.size(), by_full.count)};
    }
    LayerNumbers numbers = layer_numbers(plan, kind.value_or(IndexKind::model));
    KVT_CHECK_OK(refuse_unnamed(plan, target, numbers, "--index=model or kv names it"));
    return numbers;
}

Status refuse_unnamed(const PrecisionPlan & plan, std::string_view target, const LayerNumbers & numbers,
                      std::string_view advice) {
    std::vector<size_t> unnamed;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        if (numbers.of[i] < 0 && is_quantized(plan.layers[i])) unnamed.push_back(i);
    }
    if (unnamed.empty()) return ok_status();
    return refusal(target, plan, unnamed.front(), "a sliding-window layer has no number here", unnamed.size(), advice);
}

const TargetType & most_common(const std::vector<WrittenLayer> & layers) {
    const TargetType * best  = nullptr;
    std::ptrdiff_t     count = 0;
    for (const WrittenLayer & layer : layers) {
        const auto n =
            std::count_if(layers.begin(), layers.end(), [&](const WrittenLayer & x) { return x.type.name == layer.type.name; });
        const double stored = layer.type.k_stored + layer.type.v_stored;
        if (best != nullptr && (n < count || (n == count && stored >= best->k_stored + best->v_stored))) continue;
        best  = &layer.type;
        count = n;
    }
    return *best;
}

std::vector<std::string> names_by_number(const std::vector<WrittenLayer> & layers, const LayerNumbers & numbers) {
    std::vector<std::string> names(static_cast<size_t>(numbers.count));
    for (size_t i = 0; i < layers.size(); ++i) {
        if (numbers.of[i] >= 0) names[static_cast<size_t>(numbers.of[i])] = layers[i].type.name;
    }
    return names;
}

}  // namespace kvt::recipes
