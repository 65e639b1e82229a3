// TensorRT-LLM's KvCacheConfig.dtype with layer ranges; every layer is named, because what "auto" gives is the target's choice.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/layer_ranges.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

Result<Exported> write_tensorrt_llm(const PrecisionPlan & plan, const ExportOptions & options) {
    constexpr std::string_view    kTarget = "tensorrt-llm";
    const std::vector<TargetType> types{{"nvfp4", 4, 4, 4.5, 4.5}, {"fp8", 8, 8, 8, 8}, {"bf16", 16, 16, 16, 16}};

    Exported out;
    out.loss.target = kTarget;
    KVT_TRY(const LayerNumbers numbers, unsettled_numbers(plan, kTarget, options.index));
    KVT_TRY(out.loss.dropped, dropped_details(plan, kTarget, options.approx));
    KVT_TRY(out.loss.layers, map_layers(plan, kTarget, types, options.approx));
    const std::string ranges = write_ranges(names_by_number(out.loss.layers, numbers));
    out.text                 = fmt::format("kv_cache_config:\n  dtype: \"{}\"\n", ranges);
    if (ranges.find(':') != std::string::npos)
        out.notes.push_back(
            "released versions take one type for all layers; the ranges need pull request 13695, open in September 2026");
    return out;
}

}  // namespace kvt::recipes
