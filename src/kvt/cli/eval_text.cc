#include "kvt/cli/eval_text.h"

#include <cmath>

#include <fmt/format.h>

#include "kvt/cli/table.h"

namespace kvt::cli {

namespace {

// Divergences span six decades, in plain notation.
std::string kld_number(double v) {
    if (v == 0) return "0";
    if (std::abs(v) < 0.5e-6) return "0.000000";  // also what rounding leaves below zero
    return std::abs(v) < 0.1 ? fmt::format("{:.6f}", v) : fmt::format("{:.4f}", v);
}

// The 95 % interval; none with too few chunks.
std::string spread(const Estimate & e) {
    if (e.interval) return fmt::format("{} .. {}", kld_number(e.interval->low), kld_number(e.interval->high));
    return "-";
}

std::string optional_number(const std::optional<Estimate> & e) { return e ? kld_number(e->value) : "-"; }

std::string bits(double v) { return fmt::format("{:.2f}", v); }

std::string warnings_text(const std::vector<std::string> & warnings) {
    std::string out;
    for (const std::string & w : warnings) out += fmt::format("warning: {}\n", w);
    return out;
}

// Mean divergence by position in the context, a plan a row.
std::string position_text(const KldRecord & r) {
    if (r.plans.empty() || r.plans[0].by_position.empty()) return {};
    std::vector<Table::Column> columns{{"KLD by position", Align::left}};
    for (const PositionError & b : r.plans[0].by_position) columns.push_back({fmt::format("{}-{}", b.first, b.last)});
    Table table(std::move(columns));
    for (const PlanResult & p : r.plans) {
        std::vector<std::string> cells{p.name};
        for (const PositionError & b : p.by_position) cells.push_back(kld_number(b.kld));
        table.row(std::move(cells));
    }
    return "\n" + table.text();
}

}  // namespace

std::string kld_text(const KldRecord & r) {
    Table table({{"plan", Align::left},
                 {"bits"},
                 {"eff.bits"},
                 {"KLD mean"},
                 {"95 % interval"},
                 {"median"},
                 {"p99"},
                 {"p99.9"},
                 {"max"},
                 {"same top"},
                 {"PPL"},
                 {"", Align::left}});
    for (const PlanResult & p : r.plans) {
        const KldStats & s = p.stats;
        table.row({p.name, bits(p.payload_bits), bits(p.effective_bits), kld_number(s.mean.value), spread(s.mean),
                   kld_number(s.median.value), optional_number(s.p99), optional_number(s.p999), kld_number(s.max.value),
                   fmt::format("{:.2f} %", 100 * s.same_top.value), fmt::format("{:.4f}", s.ppl_cand.value),
                   p.at_floor ? "at the noise floor" : ""});
    }
    std::string out = table.text();
    out += fmt::format("\n{}: {} tokens scored in {} chunks of {}, {} mode, reference {} with PPL {:.4f}\n", r.data_name,
                       r.n_tokens, r.n_chunks, r.n_ctx, eval_mode_name(r.mode),
                       r.base_file.empty() ? "stock f16 cache" : r.base_file, r.ppl_ref.value);
    for (const FloorResult & f : r.floors) {
        out += fmt::format("noise floor {}  {} (max {}, same top {:.2f} %, {} chunk{})  {}\n", f.name, kld_number(f.mean),
                           kld_number(f.max), 100 * f.same_top, f.n_chunks, f.n_chunks == 1 ? "" : "s", f.what);
    }
    for (const PlanResult & p : r.plans) {
        if (!p.above_first) continue;
        out += fmt::format("{} minus {}: {:+.6f}{}\n", p.name, r.plans[r.base_file.empty() ? 0 : 1].name, p.above_first->value,
                           p.above_first->interval ? fmt::format(" (95 %: {:+.6f} .. {:+.6f}, paired)",
                                                                 p.above_first->interval->low, p.above_first->interval->high)
                                                   : "");
    }
    if (r.rule == KldRule::compat)
        out += "rule: compat (16-bit base file, terms above exp(-16) only), not to be compared with exact figures\n";
    return out + position_text(r) + warnings_text(r.warnings);
}

std::string ppl_text(const PplRecord & r) {
    Table table({{"plan", Align::left}, {"bits"}, {"eff.bits"}, {"PPL"}, {"error"}, {"95 % interval"}});
    for (const PplRow & row : r.rows) {
        table.row({row.name, bits(row.payload_bits), bits(row.effective_bits), fmt::format("{:.4f}", row.ppl.value),
                   fmt::format("+- {:.4f}", row.ppl.error.value_or(0)),
                   row.ppl.interval ? fmt::format("{:.4f} .. {:.4f}", row.ppl.interval->low, row.ppl.interval->high) : "-"});
    }
    return table.text() +
           fmt::format("\n{}: {} tokens scored in {} chunks of {}, {} mode\n", r.data_name, r.n_tokens, r.n_chunks, r.n_ctx,
                       eval_mode_name(r.mode)) +
           warnings_text(r.warnings);
}

std::string agreement_text(const AgreementRecord & r) {
    Table table({{"plan", Align::left}, {"bits"}, {"eff.bits"}, {"median"}, {"mean"}, {"95 % of the mean"}, {"no difference"}});
    for (const AgreementRow & row : r.rows) {
        table.row({row.name, bits(row.payload_bits), bits(row.effective_bits), fmt::format("{:.0f}", row.median),
                   fmt::format("{:.1f}", row.mean),
                   row.interval ? fmt::format("{:.1f} .. {:.1f}", row.interval->low, row.interval->high) : "-",
                   fmt::format("{:.1f} %", 100 * row.share_equal)});
    }
    return table.text() +
           fmt::format(
               "\ntokens before the first that differs from the stock f16 cache, of {} generated greedily after each of {} "
               "prompts "
               "({})\nthe first row is the noise floor\n",
               r.n_tokens, r.n_prompts, r.data_name) +
           warnings_text(r.warnings);
}

}  // namespace kvt::cli
