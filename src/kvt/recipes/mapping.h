// What exporters share: the nearest type of a target, refusals in one spelling, what a target drops, and layer numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/recipes/recipe.h"

namespace kvt::recipes {

// --- Interface ---

// Layer `at` is the first of `n_at_fault`. "modelopt: layer 3 (K4V2): <reason>; 1 of 4 layers is at fault; <advice>".
Error refusal(std::string_view target, const PrecisionPlan & plan, size_t at, std::string_view reason, size_t n_at_fault,
              std::string_view advice);

inline constexpr std::string_view kRaiseHelps = "--approx=raise writes the next wider type and reports the loss";

// The type of least stored bytes that has at least the planned bits on both sides; none if there is no such type.
std::optional<WrittenLayer> cover(const std::vector<TargetType> & types, const PrecisionPlan & plan, const LayerPlan & layer);

// cover() for every layer. Errors: a layer that no type covers; without Approx::raise, a layer whose bits would change.
Result<std::vector<WrittenLayer>> map_layers(const PrecisionPlan & plan, std::string_view target,
                                             const std::vector<TargetType> & types, Approx approx);

// For targets that hold the plan itself: every layer under the names of its formats.
std::vector<WrittenLayer> layers_as_planned(const PrecisionPlan & plan);

// Sinks, residual window and transforms in words, less what the target keeps. Errors: anything at all, without Approx::raise.
struct Keeps {
    bool residual = false, hadamard_k = false, hadamard_v = false;
};
Result<std::vector<std::string>> dropped_details(const PrecisionPlan & plan, std::string_view target, Approx approx,
                                                 const Keeps & keeps = {});

// The number under which the target knows each layer of the plan (-1: it cannot be named), out of `count` layers.
struct LayerNumbers {
    int              count = 0;
    std::vector<int> of;
};
LayerNumbers layer_numbers(const PrecisionPlan & plan, IndexKind kind);

// For targets whose numbering is not settled: any kind where all agree, else the one the user names.
// Errors: kinds disagree and none is named; a quantized sliding layer under IndexKind::full.
Result<LayerNumbers> unsettled_numbers(const PrecisionPlan & plan, std::string_view target, std::optional<IndexKind> kind);

// Errors: a quantized layer without a number.
Status refuse_unnamed(const PrecisionPlan & plan, std::string_view target, const LayerNumbers & numbers, std::string_view advice);

std::string pair_of(const LayerPlan & layer);  // "K8V4"
bool        is_quantized(const LayerPlan & layer);

// The name that most layers have; of equally many, the one that stores fewest bits.
const TargetType & most_common(const std::vector<WrittenLayer> & layers);

// The type of each numbered layer; empty where no layer has the number.
std::vector<std::string> names_by_number(const std::vector<WrittenLayer> & layers, const LayerNumbers & numbers);

}  // namespace kvt::recipes
