#include "kvt/cli/stage_text.h"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/cli/table.h"
#include "kvt/report/study_text.h"
#include "kvt/tuner/cluster/cluster.h"

namespace kvt::cli {

namespace {

std::string names_of(const std::vector<int> & pairs) {
    std::string text;
    for (const int p : pairs)
        text += (text.empty() ? "" : " ") + pair_name(kPairs[static_cast<size_t>(p)].k, kPairs[static_cast<size_t>(p)].v);
    return text;
}

// 0,1,2,5 as "0-2,5".
std::string ranges_of(const std::vector<int> & layers) {
    std::string text;
    for (size_t i = 0; i < layers.size();) {
        size_t j = i;
        while (j + 1 < layers.size() && layers[j + 1] == layers[j] + 1) ++j;
        text += (text.empty() ? "" : ",") + (i == j ? fmt::format("{}", layers[i]) : fmt::format("{}-{}", layers[i], layers[j]));
        i = j + 1;
    }
    return text;
}

std::string patterns_text(const SensitivityTable & table) {
    Table rows({{"layer"}, {"sparsity"}, {"sinks"}, {"recent"}, {"streaming heads"}});
    for (const LayerErrors & layer : table.layers) {
        if (layer.patterns.empty()) return "";
        rows.row(pattern_cells(layer));
    }
    return fmt::format(
        "\nAttention at full precision: share of tokens below {:g} of the largest weight, weight of the first {} tokens, of the "
        "last {} "
        "others\n{}",
        kSparseWeight, kSinkTokens, kRecentTokens, rows.text(2));
}

std::string interval(double low, double high) { return std::isnan(low) ? "" : fmt::format("[{:.4f}, {:.4f}]", low, high); }

}  // namespace

std::string sensitivity_text(const SensitivityTable & table) {
    std::vector<Table::Column> columns{{"layer"}};
    for (const PairBits & p : kPairs) columns.push_back({pair_name(p.k, p.v)});
    Table rows(columns);
    for (const LayerErrors & layer : table.layers) {
        std::vector<std::string> cells{fmt::format("{}", layer.layer)};
        for (const double e : layer.e_o) cells.push_back(fmt::format("{:.3f}", e));
        rows.row(cells);
    }
    return fmt::format("Attention output error e_o by layer and pair ({}, {} prompts, {} decode steps)\n{}{}",
                       mode_name(table.mode), table.n_prompts, table.n_tokens, rows.text(2), patterns_text(table));
}

std::string candidates_text(const CandidateSets & sets) {
    Table rows({{"layer"}, {"candidate pairs", Align::left}});
    for (const LayerCandidates & layer : sets.layers) rows.row({fmt::format("{}", layer.layer), names_of(layer.pairs)});
    return rows.text(2);
}

std::string groups_text(const LayerGroups & groups) {
    Table rows({{"group"}, {"layers", Align::left}, {"candidate pairs", Align::left}});
    int   number = 0;
    for (const LayerGroup & group : groups.groups)
        rows.row({fmt::format("{}", number++), ranges_of(group.layers), names_of(group.pairs)});
    return fmt::format("{} groups of layers, {:.0f} plans to choose from\n{}", groups.groups.size(), search_space(groups),
                       rows.text(2));
}

std::string increments_text(const Study & study) {
    if (!study.increments) return "";
    const Increments & found = *study.increments;
    Table              rows({{"layer"}, {"K alone"}, {"V alone"}});
    for (size_t l = 0; l < found.k.size(); ++l)
        rows.row({fmt::format("{}", l), fmt::format("{:+.5f}", found.k[l]), fmt::format("{:+.5f}", found.v[l])});
    return fmt::format("{} that one K or V at {} bits adds, all others at 8 bits (standard error {:.5f})\n{}",
                       scored_on_text(study) ? "KLD" : study.objective + " loss", found.probe_bits, found.noise, rows.text(2));
}

std::string held_out_text(const HeldOutCheck & check) {
    Table rows(
        {{"plan", Align::left}, {"payload bits"}, {"effective bits"}, {"KLD"}, {"95 %", Align::left}, {"p99.9"}, {"same top 1"}});
    for (const CheckedPlan & p : check.plans) {
        rows.row({p.label, fmt::format("{:.2f}", p.payload_bits), fmt::format("{:.2f}", p.effective_bits),
                  fmt::format("{:.4f}", p.kld), interval(p.kld_ci_low, p.kld_ci_high),
                  std::isnan(p.p999) ? "" : fmt::format("{:.3f}", p.p999), fmt::format("{:.1f} %", 100.0 * p.same_top)});
    }
    return fmt::format("On text the search did not see ({} tokens of {}-token chunks; noise floor {:.4f}):\n{}", check.n_tokens,
                       check.chunk_tokens, check.floor, rows.text(2));
}

std::string checks_text(const Study & study, const Evaluation & chosen, const std::vector<NamedCheck> & checks) {
    std::string text;
    for (const NamedCheck & c : checks)
        text += (checks.size() > 1 ? c.name + ": " : "") + held_out_text(c.check) + (checks.size() > 1 ? "\n" : "");
    if (!scored_on_text(study)) return text;
    text += fmt::format("{}KLD of the chosen plan where it was searched: {:.4f}\n", checks.size() > 1 ? "" : "\n", chosen.kld);
    for (const NamedCheck & c : checks) {
        const double kld = c.check.plans.front().kld;
        text += fmt::format("  on {}: {:.4f}{}\n", c.name, kld,
                            chosen.kld > 0 ? fmt::format(" ({:+.0f} %)", 100 * (kld / chosen.kld - 1)) : "");
    }
    return text;
}

std::string speed_text(const Budget & budget, const std::vector<PairBits> & pairs) {
    if (!budget.speed) return "";
    const AttentionCosts & costs = budget.speed->costs;
    Table                  rows({{"plan", Align::left}, {"ms a token"}, {"x f16"}});
    const auto             add = [&](const std::string & name, const std::vector<PairBits> & plan) {
        rows.row({name, fmt::format("{:.3f}", 1e3 * attention_seconds(costs, plan)),
                  fmt::format("{:.2f}", budget.speed->factor_of(plan))});
    };
    add("chosen", pairs);
    for (const PairBits & pair : {PairBits{16, 16}, {8, 8}, {4, 4}, {2, 2}})
        add(pair_name(pair.k, pair.v), std::vector<PairBits>(pairs.size(), pair));
    return fmt::format(
        "Attention of one generated token at {} cells, all layers, {} threads ({}; measured for each format, sums within {:.0f} "
        "% of "
        "pairs measured together)\n{}",
        costs.n_cells, costs.n_threads, costs.isa, std::ceil(100 * costs.worst_sum), rows.text(2));
}

std::string guard_text(const Guard & guard, const Study & study) {
    if (guard.n_folds == 0) return "";
    std::string text = fmt::format(
        "Luck: chosen without one part of the search data and measured on it, plans lose {:+.5f} against this one ({} parts left "
        "out "
        "in turn; {:.0f} % of the choices are the same plan)",
        guard.optimism, guard.n_folds, 100 * guard.same_plan);
    if (guard.same_bits >= 0)
        text += fmt::format("; solved without a part, {:.0f} % of K and V keep their bits", 100 * guard.same_bits);
    return text + (scored_on_text(study) ? ". Tokens cut to 0.1 nats.\n" : ".\n");
}

std::string plan_strip(const std::vector<PairBits> & pairs) {
    const auto [k, v] = bits_by_layer(pairs);
    return fmt::format("  K bits by layer  {}\n  V bits by layer  {}\n", k, v);
}

std::string next_steps(const std::string & model_path, const std::string & plan_path, const std::string & plugin_path) {
    const std::string environment = fmt::format("GGML_BACKEND_PATH={} KVT_PLAN={}", plugin_path, plan_path);
    return fmt::format(
        "What to type next:\n"
        "  kvtuner plan show {}\n"
        "  kvtuner serve -m {}\n"
        "or, without kvtuner:\n"
        "  {} \\\n    llama-server -m {} --device KVT0 -c 8192\n",
        plan_path, model_path, environment, model_path);
}

}  // namespace kvt::cli
