#include "kvt/cli/plan_text.h"

#include <fmt/format.h>

#include "kvt/cli/console.h"
#include "kvt/cli/table.h"
#include "kvt/plan/model_json.h"

namespace kvt::cli {

namespace {

struct LayerBytes {
    uint64_t k = 0, v = 0;
};

LayerBytes layer_bytes(const PrecisionPlan & plan, const LayerPlan & layer, const ContextShape & shape) {
    const ModelInfo & m     = plan.model;
    const uint64_t    cells = cells_per_sequence(shape), streams = static_cast<uint64_t>(shape.n_seq);
    return {tensor_bytes(layer.k, Side::key, m.n_kv_heads, m.head_dim_k, cells, streams, plan.kept),
            tensor_bytes(layer.v, Side::value, m.n_kv_heads, m.head_dim_v, cells, streams, plan.kept)};
}

std::string measured_text(const Measured & m) {
    if (m.value <= m.floor) return fmt::format("{} at floor ({:.4g} {})", m.metric, m.floor, m.unit);
    std::string text = fmt::format("{} {:.4g} {}", m.metric, m.value, m.unit);
    if (m.ci_low && m.ci_high) text += fmt::format(" (95 %: {:.4g} .. {:.4g})", *m.ci_low, *m.ci_high);
    return text + fmt::format(", floor {:.4g}, n {}, context {}, against {}", m.floor, m.n, m.context, m.baseline);
}

}  // namespace

uint64_t cells_per_sequence(const ContextShape & shape) {
    const auto     padded = [](uint64_t n) { return (n + kCellStep - 1) / kCellStep * kCellStep; };
    const uint64_t total  = padded(static_cast<uint64_t>(shape.n_ctx));
    return padded(total / static_cast<uint64_t>(shape.n_seq));
}

std::string bits_text(double bits) {
    std::string text = fmt::format("{:.3f}", bits);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

std::string plan_text(const PrecisionPlan & plan, const ContextShape & shape) {
    const ModelInfo & m     = plan.model;
    const uint64_t    cells = cells_per_sequence(shape);
    const CacheSize   size  = plan_size(plan, cells, static_cast<uint64_t>(shape.n_seq));
    const double      ratio = size.bytes > 0 ? static_cast<double>(size.bytes_f16) / static_cast<double>(size.bytes) : 0;

    std::string text =
        fmt::format("model           {} ({}, {} layers, {} KV heads, head_dim {}{})\n", m.name, m.arch, m.n_layer, m.n_kv_heads,
                    m.head_dim_k, m.head_dim_v == m.head_dim_k ? "" : fmt::format("/{}", m.head_dim_v));
    text += fmt::format("mode            {}\n", mode_name(plan.mode));
    text += fmt::format("payload bits    {} (mean of K and V bits over {} layers)\n", bits_text(payload_bits(plan)),
                        plan.layers.size());
    text += fmt::format("effective bits  {} (with scales, offsets, padding and open blocks, {} cells)\n",
                        bits_text(size.effective_bits), cells);
    text += fmt::format("cache           {} MiB for {} x {} cells; f16 takes {} MiB, {:.2f} times as much\n",
                        mib_text(size.bytes), shape.n_seq, cells, mib_text(size.bytes_f16), ratio);
    text += fmt::format("llama.cpp log   KV buffer size = {:>8} MiB\n", mib_text(size.bytes));
    for (const Measured & measured : plan.measured) text += fmt::format("measured        {}\n", measured_text(measured));

    Table table({{"layer"}, {"K", Align::left}, {"V", Align::left}, {"K bytes"}, {"V bytes"}});
    for (const LayerPlan & layer : plan.layers) {
        const LayerBytes bytes = layer_bytes(plan, layer, shape);
        table.row({std::to_string(layer.layer), format_name(layer.k), format_name(layer.v), std::to_string(bytes.k),
                   std::to_string(bytes.v)});
    }
    return text + "\n" + table.text();
}

nlohmann::ordered_json plan_json(const PrecisionPlan & plan, const ContextShape & shape) {
    const uint64_t         cells = cells_per_sequence(shape);
    const CacheSize        size  = plan_size(plan, cells, static_cast<uint64_t>(shape.n_seq));
    nlohmann::ordered_json out{
        {"schema", "kvtuner.plan_show"},
        {"schema_version", 1},
        {"model", model_json(plan.model)},
        {"mode", mode_name(plan.mode)},
        {"payload_bits", payload_bits(plan)},
        {"effective_bits", size.effective_bits},
        {"n_ctx", shape.n_ctx},
        {"n_seq", shape.n_seq},
        {"cells_per_sequence", cells},
        {"bytes", size.bytes},
        {"bytes_f16", size.bytes_f16},
        {"kv_buffer_size_mib", mib_text(size.bytes)},
    };
    out["layers"] = nlohmann::ordered_json::array();
    for (const LayerPlan & layer : plan.layers) {
        const LayerBytes bytes = layer_bytes(plan, layer, shape);
        out["layers"].push_back({{"layer", layer.layer},
                                 {"k", format_name(layer.k)},
                                 {"v", format_name(layer.v)},
                                 {"k_bytes", bytes.k},
                                 {"v_bytes", bytes.v}});
    }
    out["measured"] = nlohmann::ordered_json::array();
    for (const Measured & x : plan.measured) {
        out["measured"].push_back({{"metric", x.metric}, {"unit", x.unit}, {"value", x.value}, {"floor", x.floor}, {"n", x.n}});
    }
    return out;
}

}  // namespace kvt::cli
