#include "kvt/cli/export_text.h"

#include <fmt/format.h>

#include "kvt/cli/plan_text.h"
#include "kvt/cli/table.h"

namespace kvt::cli {

std::string loss_text(const PrecisionPlan & plan, const recipes::Loss & loss) {
    if (loss.worst() == recipes::LossClass::same)
        return fmt::format("{} stores what the plan says: payload {} bits, effective {} bits\n", loss.target,
                           bits_text(payload_bits(plan)), bits_text(recipes::loss_totals(plan, loss).effective_planned));
    const recipes::LossTotals t = recipes::loss_totals(plan, loss);
    std::string               text;
    text += fmt::format("payload bits     {} planned, {} written; other bits in {} of {} layers\n", bits_text(t.payload_planned),
                        bits_text(t.payload_written), t.layers_changed, loss.layers.size());
    text +=
        fmt::format("effective bits   {} planned, {} written\n", bits_text(t.effective_planned), bits_text(t.effective_written));
    text += fmt::format("bytes per token  {:.6g} planned, {:.6g} written{}\n", t.bytes_planned, t.bytes_written,
                        loss.scales_counted ? "" : " (codes only: the target documents no scales)");
    text += "quality          not measured for this target\n";
    for (const std::string & detail : loss.dropped) text += fmt::format("dropped          {}\n", detail);
    text += "\n";

    Table table({{"layer"}, {"planned K", Align::left}, {"planned V", Align::left}, {"written", Align::left}, {"class"}});
    for (size_t i = 0; i < loss.layers.size(); ++i) {
        const LayerPlan & layer = plan.layers[i];
        if (loss.layers[i].loss == recipes::LossClass::same) continue;
        table.row({std::to_string(layer.layer), format_name(layer.k), format_name(layer.v), loss.layers[i].type.name,
                   std::string(recipes::loss_class_name(loss.layers[i].loss))});
    }
    return text + table.text();
}

std::string notes_text(const std::vector<std::string> & notes) {
    std::string text;
    for (const std::string & note : notes) text += "note: " + note + "\n";
    return text;
}

}  // namespace kvt::cli
