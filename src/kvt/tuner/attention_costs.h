// What attention costs in every format on one machine, as a record (schema "kvtuner.attention_costs", version 1).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

// What attention of one generated token costs on one machine, in seconds of one layer with a full context: K and V at each number
// of bits, so that k[i] + v[j] is the cost of a layer (search picks both on their own).
struct AttentionCosts {
    Mode        mode = Mode::rotated;
    std::string isa;
    int         n_q_heads = 0, n_kv_heads = 0, head_dim_k = 0, head_dim_v = 0, n_threads = 0;
    int         n_cells = 0;  // of the context

    std::array<double, kCodeWidths.size()> k{}, v{};       // by kCodeWidths
    double                                 f16       = 0;  // of a layer with K and V at 16 bits
    double                                 worst_sum = 0;  // largest relative error of such a sum among pairs measured together

    bool same_inputs(const AttentionCosts & other) const {
        return std::tie(mode, isa, n_q_heads, n_kv_heads, head_dim_k, head_dim_v, n_threads, n_cells) ==
               std::tie(other.mode, other.isa, other.n_q_heads, other.n_kv_heads, other.head_dim_k, other.head_dim_v,
                        other.n_threads, other.n_cells);
    }
};

// Of all layers; a side at 16 bits costs half of what both do.
double attention_seconds(const AttentionCosts & costs, const std::vector<PairBits> & pairs);

// Writing is canonical, reading strict; each error names the JSON pointer of the value.
std::string            write_record(const AttentionCosts &);
Result<AttentionCosts> parse_attention_costs(std::string_view json_text);

}  // namespace kvt
