// Plans and short-hands for the tests of exporters and importers.
#pragma once

#include <string>
#include <vector>

#include "kvt/recipes/import.h"
#include "kvt/recipes/recipe.h"
#include "support/plans.h"

namespace kvt::recipes::testing {

// --- Interface ---

inline ModelInfo model_of(int n_layer) { return {"m", "llama", kvt::testing::hash_of('a'), n_layer, 2, 64, 64}; }

// One pair a layer, on a model of as many layers.
inline PrecisionPlan plan_with(const std::vector<PairBits> & pairs, Mode mode = Mode::per_token_asym) {
    return plan_of(model_of(static_cast<int>(pairs.size())), mode, pairs);
}

// Attention with a cache at model layers 1 and 3 of 4.
inline PrecisionPlan hybrid_plan(PairBits first, PairBits second) {
    PrecisionPlan plan   = plan_with({first, second});
    plan.model.n_layer   = 4;
    plan.layers[0].layer = 1;
    plan.layers[1].layer = 3;
    return plan;
}

inline ExportOptions raised(ExportOptions options = {}) {
    options.approx = Approx::raise;
    return options;
}

inline ExportOptions with_path(ExportOptions options = {}) {
    options.hf_attn_path     = "model.layers.{i}.self_attn";
    options.producer_version = "0.1.0";
    return options;
}

inline std::string text_of(const PrecisionPlan & plan, std::string_view target, const ExportOptions & options = {}) {
    const auto out = export_plan(plan, target, options);
    return out ? out->text : "error: " + out.error().message;
}

inline std::string error_of(const PrecisionPlan & plan, std::string_view target, const ExportOptions & options = {}) {
    const auto out = export_plan(plan, target, options);
    return out ? "no error: " + out->text : out.error().message;
}

// The (K, V) bits that an export writes.
inline std::vector<PairBits> written_bits(const PrecisionPlan & plan, std::string_view target, const ExportOptions & options) {
    std::vector<PairBits> bits;
    const auto            out = export_plan(plan, target, options);
    if (!out) return bits;
    for (const WrittenLayer & layer : out->loss.layers) bits.push_back({layer.type.k_bits, layer.type.v_bits});
    return bits;
}

// Any plan of 1 .. max_layers layers whose bits are among `widths`.
inline PrecisionPlan random_pairs(SplitMix64 & rng, const std::vector<int> & widths, uint64_t max_layers) {
    std::vector<PairBits> pairs(1 + rng.below(max_layers));
    for (PairBits & pair : pairs) pair = {widths[rng.below(widths.size())], widths[rng.below(widths.size())]};
    return plan_with(pairs);
}

}  // namespace kvt::recipes::testing
