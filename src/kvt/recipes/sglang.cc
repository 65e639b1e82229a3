// SGLang's per-layer cache types, in the spelling of one of two pull requests that were closed unmerged.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/layer_ranges.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

Result<Exported> write_sglang(const PrecisionPlan & plan, const ExportOptions & options) {
    constexpr std::string_view kTarget = "sglang";
    std::vector<TargetType>    types;
    if (options.sglang_dialect == "17530") {
        types = {{"fp4_e2m1", 4, 4, 4.5, 4.5}, {"fp8", 8, 8, 8, 8}, {"bf16", 16, 16, 16, 16}};
    } else if (options.sglang_dialect == "15420") {
        types = {{"int4", 4, 4, 4, 4}, {"int8", 8, 8, 8, 8}, {"bf16", 16, 16, 16, 16}};
    } else {
        return Error{fmt::format("{}: --sglang-dialect \"{}\" is not 17530 or 15420", kTarget, options.sglang_dialect)};
    }
    Exported out;
    out.loss.target         = kTarget;
    out.loss.scales_counted = options.sglang_dialect == "17530";  // FP8 and 4.5 bits of FP4
    KVT_TRY(const LayerNumbers numbers, unsettled_numbers(plan, kTarget, options.index));
    KVT_TRY(out.loss.dropped, dropped_details(plan, kTarget, options.approx));
    KVT_TRY(out.loss.layers, map_layers(plan, kTarget, types, options.approx));
    const std::string ranges = write_ranges(names_by_number(out.loss.layers, numbers));
    out.text                 = "--kv-cache-dtype " + most_common(out.loss.layers).name;
    if (ranges.find(':') != std::string::npos) {
        out.text += fmt::format(" --kv-cache-per-layer-dtype \"{}\"", ranges);
        out.notes.push_back(
            fmt::format("no released SGLang reads the layer list (pull request {}, closed)", options.sglang_dialect));
    }
    out.text += "\n";
    return out;
}

}  // namespace kvt::recipes
