// Recipes: the formats in which other engines take a KV cache precision per layer. Exporters turn a plan into one of them,
// and say what got lost on the way; docs/formats/exports.md lists what each can express.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt::recipes {

// --- Interface ---

// same         the target stores the same thing
// substituted  the same bits in another number format (our int8 -> fp8): written, and always said
// changed      other bits, or sinks, residual window or transforms dropped: refused unless the user allows it
enum class LossClass : uint8_t { same, substituted, changed };

// raise: no side of any layer gets fewer bits than planned, at the fewest added bytes.
enum class Approx : uint8_t { refuse, raise };

// What the numbers in a target's layer list count.
enum class IndexKind : uint8_t { model, kv, full };

// What one layer gets: a type of the target, its nominal bits and the bits it stores per value, scales included where
// the target documents them.
struct TargetType {
    std::string name;
    int         k_bits = 16, v_bits = 16;
    double      k_stored = 16, v_stored = 16;
};

struct WrittenLayer {
    TargetType type;
    LossClass  loss = LossClass::same;
};

struct Loss {
    std::string               target;
    std::vector<WrittenLayer> layers;                 // as in the plan
    std::vector<std::string>  dropped;                // what has no place in the target, in words
    bool                      scales_counted = true;  // false: stored bits are codes only, the target documents no more

    LossClass worst() const;
};

// What has to be known beyond the plan; empty where the user gave nothing.
struct ExportOptions {
    Approx                   approx = Approx::refuse;
    std::optional<IndexKind> index;
    std::string              hf_attn_path;  // "model.layers.{i}.self_attn"
    std::string              modelopt_form = "hf", producer_name = "kvtuner", producer_version;
    std::string              vllm_dtype, sglang_dialect = "17530", ninfer_4bit = "nvfp4";
    std::string              plan_path, model_path, plugin_path;  // as a shell on this machine would name them
};

struct Exported {
    std::string              text;  // the file, ASCII, ends with a newline; same plan and options, same bytes
    Loss                     loss;
    std::vector<std::string> notes;  // what the user must know to use it, one sentence each
    bool                     needs_plan_beside = false;
};

struct Target {
    std::string_view name, what;
    Result<Exported> (*write)(const PrecisionPlan &, const ExportOptions &);
};

const std::vector<Target> & targets();

// Errors: an unknown target (lists them); one line that names target, first layer at fault, its pair, the reason, how many
// layers are at fault, and the option that would help.
Result<Exported> export_plan(const PrecisionPlan & plan, std::string_view target, const ExportOptions & options);

// Totals of a loss. Effective bits planned: at 4096 tokens, with scales and open blocks; written: stored bits of the types.
struct LossTotals {
    double payload_planned = 0, payload_written = 0, effective_planned = 0, effective_written = 0;
    double bytes_planned = 0, bytes_written = 0;  // per token, K and V of all layers
    int    layers_changed = 0;
};
LossTotals loss_totals(const PrecisionPlan & plan, const Loss & loss);

// The content of <output>.loss.json.
nlohmann::ordered_json loss_json(const PrecisionPlan & plan, const Loss & loss);
std::string_view       loss_class_name(LossClass loss);  // "A", "B", "C" of docs/formats/exports.md

}  // namespace kvt::recipes
