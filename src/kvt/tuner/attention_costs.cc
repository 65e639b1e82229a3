#include "kvt/tuner/attention_costs.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/plan/json_reader.h"

namespace kvt {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr int    kMaxDepth = 8, kMaxCount = 1 << 30;

// Seconds by kCodeWidths, all above 0.
std::array<double, kCodeWidths.size()> by_width(ObjectReader & o, const char * key) {
    std::array<double, kCodeWidths.size()> out{};
    const auto &                           all = o.array(key);
    if (all.size() != out.size()) o.complain(key, fmt::format("must hold {} numbers", out.size()));
    for (size_t i = 0; i < std::min(all.size(), out.size()); ++i) {
        if (all[i].is_number()) out[i] = all[i].get<double>();
        if (!(out[i] > 0)) o.complain(key, "must hold numbers above 0");
    }
    return out;
}

}  // namespace

std::string write_record(const AttentionCosts & c) {
    const nlohmann::ordered_json j{{"schema", "kvtuner.attention_costs"},
                                   {"schema_version", 1},
                                   {"mode", mode_name(c.mode)},
                                   {"isa", c.isa},
                                   {"n_q_heads", c.n_q_heads},
                                   {"n_kv_heads", c.n_kv_heads},
                                   {"head_dim_k", c.head_dim_k},
                                   {"head_dim_v", c.head_dim_v},
                                   {"n_threads", c.n_threads},
                                   {"n_cells", c.n_cells},
                                   {"bits", kCodeWidths},
                                   {"k_seconds", c.k},
                                   {"v_seconds", c.v},
                                   {"f16_seconds", c.f16},
                                   {"worst_sum", c.worst_sum}};
    return json_text(j, 1, JsonChars::ascii) + "\n";
}

double attention_seconds(const AttentionCosts & costs, const std::vector<PairBits> & pairs) {
    const auto side = [&costs](const auto & by_width, int bits) {
        const auto at = std::find(kCodeWidths.begin(), kCodeWidths.end(), bits);
        return at == kCodeWidths.end() ? costs.f16 / 2 : by_width[static_cast<size_t>(at - kCodeWidths.begin())];
    };
    double seconds = 0;
    for (const PairBits & p : pairs) seconds += side(costs.k, p.k) + side(costs.v, p.v);
    return seconds;
}

Result<AttentionCosts> parse_attention_costs(std::string_view text) {
    auto document = parse_strict_json(text, kMaxBytes, kMaxDepth);
    if (!document.ok()) return Error{fmt::format("attention_costs: {}", document.error().message)};
    Complaint      complaint;
    ObjectReader   o(*document, "", complaint);
    const auto     count = [&o](const char * key) { return static_cast<int>(o.integer(key, 0, kMaxCount)); };
    AttentionCosts c;
    (void)o.choice("schema", {"kvtuner.attention_costs"});
    (void)o.integer("schema_version", 1, 1);
    const auto mode = parse_mode(o.text("mode"));
    if (!mode.ok()) o.complain("mode", mode.error().message);
    if (mode.ok()) c.mode = *mode;
    c.isa           = o.text("isa");
    c.n_q_heads     = count("n_q_heads");
    c.n_kv_heads    = count("n_kv_heads");
    c.head_dim_k    = count("head_dim_k");
    c.head_dim_v    = count("head_dim_v");
    c.n_threads     = count("n_threads");
    c.n_cells       = count("n_cells");
    const auto bits = by_width(o, "bits");
    if (!std::equal(bits.begin(), bits.end(), kCodeWidths.begin())) o.complain("bits", "must be those that this program knows");
    c.k         = by_width(o, "k_seconds");
    c.v         = by_width(o, "v_seconds");
    c.f16       = o.number("f16_seconds");
    c.worst_sum = o.number("worst_sum");
    if (!(c.f16 > 0)) o.complain("f16_seconds", "must be above 0");
    o.refuse_other_keys();
    if (!complaint.empty()) return Error{fmt::format("attention_costs: {}", complaint.text())};
    return c;
}

}  // namespace kvt
