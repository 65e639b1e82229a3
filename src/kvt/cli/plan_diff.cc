#include "kvt/cli/plan_diff.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "kvt/cli/plan_library.h"
#include "kvt/cli/plan_text.h"
#include "kvt/cli/table.h"
#include "kvt/plan/schema.h"

namespace kvt::cli {

namespace {

Status same_layers(const NamedPlan & a, const NamedPlan & b) {
    const auto & x    = a.plan.layers;
    const auto & y    = b.plan.layers;
    bool         same = x.size() == y.size();
    for (size_t i = 0; same && i < x.size(); ++i) same = x[i].layer == y[i].layer;
    if (same) return ok_status();
    return Error{fmt::format("{} has {} layers with a cache and {} has {}, or others: they are plans of different models", a.name,
                             x.size(), b.name, y.size())};
}

bool differ(const LayerPlan & a, const LayerPlan & b) {
    return !(a.k == b.k && a.v == b.v && a.k_transform == b.k_transform && a.v_transform == b.v_transform);
}

std::string side_text(const Format & format, const std::string & transform) {
    return transform.empty() ? format_name(format) : fmt::format("{} {}", format_name(format), transform);
}

// How alike the bits of two plans are, for instance of plans tuned on two texts.
struct Overlap {
    int    n_equal = 0, n = 0, largest = 0;  // of all K and V; bits
    double mean_difference = 0;              // bits
};

Overlap overlap(const NamedPlan & a, const NamedPlan & b) {
    Overlap o;
    for (size_t i = 0; i < a.plan.layers.size(); ++i) {
        const LayerPlan &x = a.plan.layers[i], &y = b.plan.layers[i];
        for (const int d : {std::abs(x.k.bits - y.k.bits), std::abs(x.v.bits - y.v.bits)}) {
            ++o.n;
            o.n_equal += d == 0;
            o.mean_difference += d;
            o.largest = std::max(o.largest, d);
        }
    }
    if (o.n != 0) o.mean_difference /= o.n;
    return o;
}

}  // namespace

Result<std::string> diff_text(const NamedPlan & a, const NamedPlan & b) {
    KVT_CHECK_OK(same_layers(a, b));
    Table totals({{"", Align::left}, {"mode", Align::left}, {"payload bits"}, {"effective bits"}, {"bytes/token"}, {"KLD"}});
    for (const NamedPlan * p : {&a, &b}) {
        const auto memory = schema::memory_of(p->plan);
        totals.row({p->name, std::string(mode_name(p->plan.mode)), bits_text(memory.payload_bits),
                    bits_text(memory.effective_bits), fmt::format("{:.0f}", memory.bytes_per_token()),
                    kld_figure(measured_kld(p->plan))});
    }
    Table layers(
        {{"layer"}, {"K, first", Align::left}, {"second", Align::left}, {"V, first", Align::left}, {"second", Align::left}});
    size_t n = 0;
    for (size_t i = 0; i < a.plan.layers.size(); ++i) {
        const LayerPlan &x = a.plan.layers[i], &y = b.plan.layers[i];
        if (!differ(x, y)) continue;
        ++n;
        layers.row({std::to_string(x.layer), side_text(x.k, x.k_transform), side_text(y.k, y.k_transform),
                    side_text(x.v, x.v_transform), side_text(y.v, y.v_transform)});
    }
    const Overlap     o = overlap(a, b);
    const std::string head =
        fmt::format("{}\n{} of {} K and V have the same bits; mean difference {:.2f} bits, largest {}\n{} of {} layers differ",
                    totals.text(), o.n_equal, o.n, o.mean_difference, o.largest, n, a.plan.layers.size());
    return n == 0 ? head + "\n" : fmt::format("{}:\n{}", head, layers.text(2));
}

Result<nlohmann::ordered_json> diff_json(const NamedPlan & a, const NamedPlan & b) {
    KVT_CHECK_OK(same_layers(a, b));
    nlohmann::ordered_json out{{"schema", "kvtuner.plan_diff"}, {"schema_version", 1}};
    for (const auto & [key, p] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
        const auto memory = schema::memory_of(p->plan);
        out[key]          = {{"plan", p->name},
                             {"mode", mode_name(p->plan.mode)},
                             {"payload_bits", memory.payload_bits},
                             {"effective_bits", memory.effective_bits},
                             {"bytes_per_token", memory.bytes_per_token()},
                             {"kld_mean", kld_json(measured_kld(p->plan))}};
    }
    const Overlap o = overlap(a, b);
    out["overlap"]  = {{"equal_share", o.n == 0 ? 1.0 : static_cast<double>(o.n_equal) / o.n},
                       {"mean_difference_bits", o.mean_difference},
                       {"largest_difference_bits", o.largest}};
    out["layers"]   = nlohmann::ordered_json::array();
    for (size_t i = 0; i < a.plan.layers.size(); ++i) {
        const LayerPlan &x = a.plan.layers[i], &y = b.plan.layers[i];
        if (!differ(x, y)) continue;
        out["layers"].push_back({{"layer", x.layer},
                                 {"k", {side_text(x.k, x.k_transform), side_text(y.k, y.k_transform)}},
                                 {"v", {side_text(x.v, x.v_transform), side_text(y.v, y.v_transform)}}});
    }
    return out;
}

}  // namespace kvt::cli
