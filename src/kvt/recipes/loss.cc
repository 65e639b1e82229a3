// What an export changed, in figures.
#include <algorithm>

#include "kvt/plan/schema.h"
#include "kvt/recipes/recipe.h"

namespace kvt::recipes {

std::string_view loss_class_name(LossClass loss) {
    return loss == LossClass::same ? "A" : loss == LossClass::substituted ? "B" : "C";
}

LossClass Loss::worst() const {
    LossClass worst = dropped.empty() ? LossClass::same : LossClass::changed;
    for (const WrittenLayer & layer : layers) worst = std::max(worst, layer.loss);
    return worst;
}

LossTotals loss_totals(const PrecisionPlan & plan, const Loss & loss) {
    const schema::Memory memory = schema::memory_of(plan);
    const auto           heads = static_cast<double>(plan.model.n_kv_heads), layers = static_cast<double>(loss.layers.size());
    const double         k_elements = heads * plan.model.head_dim_k, v_elements = heads * plan.model.head_dim_v;
    LossTotals           totals;
    totals.payload_planned   = memory.payload_bits;
    totals.effective_planned = memory.effective_bits;
    totals.bytes_planned     = memory.bytes_per_token();
    int bits                 = 0;
    for (const WrittenLayer & layer : loss.layers) {
        bits += layer.type.k_bits + layer.type.v_bits;
        totals.bytes_written += (k_elements * layer.type.k_stored + v_elements * layer.type.v_stored) / 8;
        totals.layers_changed += layer.loss == LossClass::changed;
    }
    if (loss.layers.empty()) return totals;
    if (loss.worst() == LossClass::same) {  // the target stores what the plan says
        totals.payload_written   = totals.payload_planned;
        totals.effective_written = totals.effective_planned;
        totals.bytes_written     = totals.bytes_planned;
        return totals;
    }
    totals.payload_written   = bits / (2 * layers);
    totals.effective_written = 8 * totals.bytes_written / ((k_elements + v_elements) * layers);
    return totals;
}

nlohmann::ordered_json loss_json(const PrecisionPlan & plan, const Loss & loss) {
    const LossTotals       t = loss_totals(plan, loss);
    nlohmann::ordered_json out{{"schema", "kvtuner.export_loss"},
                               {"schema_version", 1},
                               {"target", loss.target},
                               {"class", loss_class_name(loss.worst())},
                               {"quality", loss.worst() == LossClass::same ? "as measured" : "not measured for this target"},
                               {"layers_changed", t.layers_changed},
                               {"payload_bits", {{"planned", t.payload_planned}, {"written", t.payload_written}}},
                               {"effective_bits", {{"planned", t.effective_planned}, {"written", t.effective_written}}},
                               {"bytes_per_token", {{"planned", t.bytes_planned}, {"written", t.bytes_written}}},
                               {"written_counts_scales", loss.scales_counted},
                               {"dropped", loss.dropped}};
    out["layers"] = nlohmann::ordered_json::array();
    for (size_t i = 0; i < loss.layers.size(); ++i) {
        const LayerPlan &  planned = plan.layers[i];
        const TargetType & written = loss.layers[i].type;
        out["layers"].push_back({{"layer", planned.layer},
                                 {"planned", {{"k", format_name(planned.k)}, {"v", format_name(planned.v)}}},
                                 {"written", {{"type", written.name}, {"k_bits", written.k_bits}, {"v_bits", written.v_bits}}},
                                 {"class", loss_class_name(loss.layers[i].loss)},
                                 {"k_bits_change", written.k_bits - planned.k.bits},
                                 {"v_bits_change", written.v_bits - planned.v.bits}});
    }
    return out;
}

}  // namespace kvt::recipes
