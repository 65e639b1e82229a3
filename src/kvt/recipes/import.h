// Recipes of others into plans. A recipe says little: the model gives the shapes, and the user the mode where nothing else does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"
#include "kvt/recipes/recipe.h"

namespace kvt::recipes {

// --- Interface ---

struct ImportOptions {
    ModelInfo           model;
    std::optional<Mode> mode        = std::nullopt;    // per_token_asym or kivi
    Approx              approx      = Approx::refuse;  // raise: the largest bits of a layer's heads
    bool                map_foreign = false;           // FP8 and NVFP4 become 8 and 4 bits
};

struct Imported {
    PrecisionPlan            plan;
    std::vector<std::string> notes;
};

// The original KVTuner's YAML, per layer or per KV head, block or flow style. `name`: the file's, whose "_kivi_" or "_pertoken_"
// gives the mode if the user does not. Errors: anything beside layers 0, 1, 2, ... with nbits_key and nbits_value in {2, 4, 8};
// another number of layers (heads) than the model's; heads of one layer that differ, without Approx::raise; no mode.
Result<Imported> import_kvtuner_yaml(std::string_view text, std::string_view name, const ImportOptions & options);

// Only the pairs, one per layer, of the per-layer shape.
Result<std::vector<PairBits>> parse_kvtuner_yaml(std::string_view text);

// ModelOpt's maps (hf_quant_config.json, its draft, config.json) and search reports. Layers that are not listed get 16 bits.
// Errors: without map_foreign, any FP8 or NVFP4 layer; versions other than 1, unknown names, bad paths, layers the model does not
// have.
Result<Imported> import_modelopt(std::string_view text, const ImportOptions & options);

// What a GGUF file says of a plan (docs/formats/exports.md, gguf); empty where a key is absent.
struct GgufKeys {
    std::optional<uint64_t>    schema_version;
    std::optional<std::string> plan;
    std::vector<uint64_t>      layers, k_bits, v_bits;
};

// The plan as it was exported, for the file that carries it now. Errors: no plan in the file, another schema version, a plan that
// the strict reader refuses or that is for a model of another shape, lists of bits that say otherwise than the plan.
Result<Imported> import_gguf_keys(const GgufKeys & keys, const ImportOptions & options);

// One layer of the model, in a plan of `mode`. Errors: another number of layers than the model's, a format its head_dim does not
// allow.
Result<Imported> plan_from_pairs(const ImportOptions & options, Mode mode, const std::vector<PairBits> & pairs,
                                 std::string_view method);

// The mode out of "..._kivi_..." or "..._pertoken_..."; none if neither or both.
std::optional<Mode> mode_in_name(std::string_view name);

}  // namespace kvt::recipes
