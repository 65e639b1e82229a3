// ninfer-fusion's --kv-layer-storage: slots count the layers with full attention, and others cannot be named.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"
#include "kvt/recipes/layer_ranges.h"
#include "kvt/recipes/mapping.h"

namespace kvt::recipes {

Result<Exported> write_ninfer(const PrecisionPlan & plan, const ExportOptions & options) {
    constexpr std::string_view kTarget   = "ninfer";
    constexpr int              kMaxSlots = 64;
    const std::string &        four      = options.ninfer_4bit;
    if (four != "nvfp4" && four != "iso4e" && four != "rk4v4")
        return Error{fmt::format("{}: --ninfer-4bit \"{}\" is not nvfp4, iso4e or rk4v4", kTarget, four)};
    const double                  stored = four == "nvfp4" ? 4.5 : 4;
    const std::vector<TargetType> types{{four, 4, 4, stored, stored}, {"int8", 8, 8, 8, 8}, {"bf16", 16, 16, 16, 16}};

    Exported out;
    out.loss.target            = kTarget;
    out.loss.scales_counted    = false;
    const LayerNumbers numbers = layer_numbers(plan, IndexKind::full);
    if (numbers.count > kMaxSlots)
        return Error{fmt::format("{}: {} layers with full attention, it has {} slots", kTarget, numbers.count, kMaxSlots)};
    if (numbers.count == 0) return Error{fmt::format("{}: no layer has full attention, so none can be named", kTarget)};
    KVT_CHECK_OK(refuse_unnamed(plan, kTarget, numbers, ""));
    KVT_TRY(out.loss.dropped, dropped_details(plan, kTarget, options.approx));
    KVT_TRY(out.loss.layers, map_layers(plan, kTarget, types, options.approx));
    const std::string         ranges = write_ranges(names_by_number(out.loss.layers, numbers));
    std::vector<WrittenLayer> named;  // the default is that of the named layers
    for (size_t i = 0; i < out.loss.layers.size(); ++i) {
        if (numbers.of[i] >= 0) named.push_back(out.loss.layers[i]);
    }
    out.text = "--kv-dtype " + most_common(named).name;
    if (ranges.find(':') != std::string::npos) out.text += " --kv-layer-storage " + ranges;
    out.text += "\n";
    return out;
}

}  // namespace kvt::recipes
