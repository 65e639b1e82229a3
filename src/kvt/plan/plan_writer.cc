// Canonical plan text: fixed key order, two spaces, one line per format, layer, figure and input.
#include "kvt/plan/plan.h"

#include <cmath>
#include <map>

#include <fmt/format.h>

#include "kvt/base/json_text.h"
#include "kvt/plan/schema.h"

namespace kvt {

namespace {

// ASCII only; bytes that are not UTF-8 become U+FFFD, so that the result is valid JSON whatever a model calls itself.
std::string json_string(std::string_view text) { return json_text(text, -1, JsonChars::ascii); }

// Shortest text that reads back as the same double; -0 becomes 0, since JSON readers take "-0" for the integer 0.
std::string number(double value) { return fmt::format("{}", value + 0.0); }

std::string format_line(const Format & f) {
    if (f.codec == Codec::f16) return R"({"codec": "f16", "bits": 16})";
    return fmt::format(R"({{"codec": "int_asym", "bits": {}, "axis": "{}", "group": {}, "scale": "{}", "store": "{}"}})", f.bits,
                       schema::axis_name(f.axis), f.group, schema::params_name(f.params), schema::store_name(f.store));
}

// Joins lines of an array or object with commas, each on its own line.
std::string block(const std::vector<std::string> & lines, char open, char close) {
    if (lines.empty()) return {open, close};
    std::string text(1, open);
    for (size_t i = 0; i < lines.size(); ++i) {
        text += i == 0 ? "\n    " : ",\n    ";
        text += lines[i];
    }
    return text + "\n  " + close;
}

std::string formats_text(const PrecisionPlan & plan) {
    std::map<std::string, Format> formats;
    for (const LayerPlan & layer : plan.layers) {
        formats.emplace(format_name(layer.k), layer.k);
        formats.emplace(format_name(layer.v), layer.v);
    }
    std::vector<std::string> lines;
    for (const auto & [name, f] : formats) lines.push_back(fmt::format("{}: {}", json_string(name), format_line(f)));
    return block(lines, '{', '}');
}

std::string transforms_text(const PrecisionPlan & plan) {
    std::vector<std::string> lines;
    for (const auto & [name, rotation] : plan.transforms)
        lines.push_back(fmt::format(R"({}: {{"rotation": "{}"}})", json_string(name), schema::rotation_name(rotation)));
    return block(lines, '{', '}');
}

std::string calibration_text(const PrecisionPlan & plan) {
    if (plan.calibration.file.empty()) return "null";
    return fmt::format(R"({{"file": {}, "sha256": "{}", "positions": {}}})", json_string(plan.calibration.file),
                       plan.calibration.sha256, plan.calibration.positions);
}

std::string layers_text(const PrecisionPlan & plan) {
    const ModelInfo &        m = plan.model;
    std::vector<std::string> lines;
    for (const LayerPlan & layer : plan.layers) {
        std::string transforms;
        if (!layer.k_transform.empty()) transforms += fmt::format(R"("k_transform": {}, )", json_string(layer.k_transform));
        if (!layer.v_transform.empty()) transforms += fmt::format(R"("v_transform": {}, )", json_string(layer.v_transform));
        lines.push_back(fmt::format(
            R"({{"layer": {}, "kv": {}, "attn": "{}", "k": "{}", "v": "{}", {}"k_bytes": {}, "v_bytes": {}}})", layer.layer,
            layer.kv, schema::attention_name(layer.attn), format_name(layer.k), format_name(layer.v), transforms,
            schema::tile_row_bytes(layer.k, Side::key, m), schema::tile_row_bytes(layer.v, Side::value, m)));
    }
    return block(lines, '[', ']');
}

std::string memory_text(const PrecisionPlan & plan) {
    const schema::Memory memory = schema::memory_of(plan);
    return fmt::format(R"({{
    "block_tokens": {}, "bytes_per_block": {}, "bytes_per_block_f16": {},
    "open_bytes": {},
    "payload_bits": {}, "effective_bits": {}, "at_tokens": {}
  }})",
                       memory.block_tokens, memory.bytes_per_block, memory.bytes_per_block_f16, memory.open_bytes,
                       number(memory.payload_bits), number(memory.effective_bits), memory.at_tokens);
}

std::string measured_text(const PrecisionPlan & plan) {
    std::vector<std::string> lines;
    for (const Measured & m : plan.measured) {
        if (!std::isfinite(m.value) || !std::isfinite(m.floor)) continue;  // JSON has no NaN: no figure rather than a false one
        std::string interval;
        if (m.ci_low && m.ci_high && std::isfinite(*m.ci_low) && std::isfinite(*m.ci_high)) {
            interval = fmt::format(R"( "ci95": [{}, {}],)", number(*m.ci_low), number(*m.ci_high));
        }
        lines.push_back(fmt::format(
            R"({{"metric": {}, "unit": {}, "value": {}, "floor": {},{} "n": {}, "baseline": {}, "data_sha256": "{}", "context": {}, "pass": {}, "prefill": {}, "joint": {}}})",
            json_string(m.metric), json_string(m.unit), number(m.value), number(m.floor), interval, m.n, json_string(m.baseline),
            m.data_sha256, m.context, json_string(m.pass), json_string(m.prefill), m.joint));
    }
    return block(lines, '[', ']');
}

std::string provenance_text(const Provenance & p) {
    std::string inputs;
    for (const InputHash & input : p.inputs) {
        inputs += fmt::format("{}\n      {{\"role\": {}, \"sha256\": \"{}\"}}", inputs.empty() ? "" : ",",
                              json_string(input.role), input.sha256);
    }
    if (!inputs.empty()) inputs += "\n    ";
    return fmt::format(R"({{
    "tool": "kvtuner", "tool_version": {}, "method": {}, "seed": {}, "objective": {}, "evaluations": {},
    "inputs": [{}]
  }})",
                       json_string(p.tool_version), json_string(p.method), p.seed, json_string(p.objective), p.evaluations,
                       inputs);
}

}  // namespace

std::string write_plan(const PrecisionPlan & plan) {
    const ModelInfo & m = plan.model;
    return fmt::format(R"({{
  "schema": "{}",
  "schema_version": {},
  "model": {{
    "name": {}, "arch": {},
    "file_sha256": "{}",
    "n_layer": {}, "n_kv_heads": {}, "head_dim_k": {}, "head_dim_v": {}
  }},
  "index_kind": "model_layer",
  "mode": "{}",
  "sink_tokens": {},
  "residual_tokens": {},
  "formats": {},
  "transforms": {},
  "calibration": {},
  "layers": {},
  "memory": {},
  "measured": {},
  "provenance": {}
}}
)",
                       schema::kName, schema::kVersion, json_string(m.name), json_string(m.arch), m.file_sha256, m.n_layer,
                       m.n_kv_heads, m.head_dim_k, m.head_dim_v, mode_name(plan.mode), plan.kept.sink_tokens,
                       plan.kept.residual_tokens, formats_text(plan), transforms_text(plan), calibration_text(plan),
                       layers_text(plan), memory_text(plan), measured_text(plan), provenance_text(plan.provenance));
}

}  // namespace kvt
