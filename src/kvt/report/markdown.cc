#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/report/markdown_row.h"
#include "kvt/report/report_data.h"
#include "kvt/report/study_text.h"
#include "kvt/report/task_markdown.h"
#include "kvt/report/text_files.h"

namespace kvt {

namespace {

using markdown::plain;
using markdown::row;

std::string interval(double low, double high) { return std::isnan(low) ? "" : fmt::format("{:.4f} to {:.4f}", low, high); }
std::string mib(uint64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20)); }

std::string frontier(const Results & results) {
    const Study & study = results.study;
    std::string   text  = fmt::format(
           "## Frontier\n\n{} plans scored on {}; noise floor {:.4f}{}; effective bits at {} tokens.\n\n"
              "| plan | payload bits | effective bits | {} | 95 % interval | |\n|---|---:|---:|---:|---|---|\n",
           study.evaluations.size(), scored_on(study), study.floor, scored_on_text(study) ? " nats" : "", study.at_tokens,
           loss_title(study));
    for (const int i : listed_evaluations(study, results.chosen)) {
        const Evaluation & e = study.evaluations[static_cast<size_t>(i)];
        text += row({e.label.empty() ? "mixed" : plain(e.label), fmt::format("{:.2f}", e.payload_bits),
                     fmt::format("{:.2f}", e.effective_bits), fmt::format("{:.4f}", e.kld), interval(e.kld_ci_low, e.kld_ci_high),
                     i == results.chosen  ? "chosen"
                     : on_front(study, i) ? "front"
                                          : ""},
                    i == results.chosen);
    }
    return text + "\n";
}

std::string plan_by_layer(const Results & results) {
    const std::vector<PairBits> pairs = chosen_pairs(results);
    if (pairs.empty()) return "";
    const auto [k, v] = bits_by_layer(pairs);
    return fmt::format("## Plan by layer\n\nBits of each layer, f for 16.\n\n```\nK {}\nV {}\n```\n\n", k, v);
}

std::string sensitivity(const Results & results) {
    std::string text;
    if (results.study.increments) {
        const Increments & found = *results.study.increments;
        text += fmt::format(
            "## Layer sensitivity\n\n{} that one K or V at {} bits adds, all others at 8 bits (standard error {:.5f}).\n\n"
            "| layer | K alone | V alone |\n|---:|---:|---:|\n",
            loss_title(results.study), found.probe_bits, found.noise);
        for (size_t l = 0; l < found.k.size(); ++l)
            text += row({fmt::format("{}", l), fmt::format("{:.5f}", found.k[l]), fmt::format("{:.5f}", found.v[l])});
        text += "\n";
    }
    if (results.sensitivity) {
        text += "## Layer sensitivity\n\nRelative error of the attention output (e_o) by layer and pair.\n\n| layer |";
        for (const PairBits & pair : kPairs) text += " " + pair_name(pair.k, pair.v) + " |";
        text += "\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
        for (const LayerErrors & layer : results.sensitivity->layers) {
            std::vector<std::string> cells{fmt::format("{}", layer.layer)};
            for (const double e : layer.e_o) cells.push_back(fmt::format("{:.3f}", e));
            text += row(cells);
        }
        text += "\n";
    }
    if (results.sensitivity && !results.sensitivity->layers.front().patterns.empty()) {
        text += fmt::format(
            "Attention patterns at full precision, mean over query heads: share of tokens below {:g} of the largest weight, "
            "weight of "
            "the first {} tokens, of the last {} others; heads with at least 0.9 on both are streaming heads.\n\n"
            "| layer | sparsity | sinks | recent | streaming heads |\n|---:|---:|---:|---:|---:|\n",
            kSparseWeight, kSinkTokens, kRecentTokens);
        for (const LayerErrors & layer : results.sensitivity->layers) text += row(pattern_cells(layer));
        text += "\n";
    }
    if (!results.study.groups.groups.empty()) {
        text += "| group | layers | candidate pairs |\n|---:|---|---|\n";
        int number = 0;
        for (const LayerGroup & group : results.study.groups.groups) {
            std::vector<std::string> names;
            for (const int p : group.pairs)
                names.push_back(pair_name(kPairs[static_cast<size_t>(p)].k, kPairs[static_cast<size_t>(p)].v));
            text += row({fmt::format("{}", number++), fmt::format("{}", fmt::join(group.layers, ", ")),
                         fmt::format("{}", fmt::join(names, ", "))});
        }
        text += "\n";
    }
    return text;
}

std::string held_out(const HeldOutCheck & check) {
    std::string text = fmt::format(
        "## On held-out text\n\n{} tokens of {}-token chunks; noise floor {:.4f} nats.\n\n"
        "| plan | payload bits | effective bits | KLD | 95 % interval | p99.9 | same top 1 | minus tuned |\n"
        "|---|---:|---:|---:|---|---:|---:|---|\n",
        check.n_tokens, check.chunk_tokens, check.floor);
    bool first = true;  // the tuned plan
    for (const CheckedPlan & p : check.plans) {
        std::string difference = first ? "" : fmt::format("{:+.4f}", p.vs_tuned);
        if (!first && !std::isnan(p.vs_tuned_low))
            difference += fmt::format(" ({:+.4f} to {:+.4f})", p.vs_tuned_low, p.vs_tuned_high);
        text += row(
            {plain(p.label), fmt::format("{:.2f}", p.payload_bits), fmt::format("{:.2f}", p.effective_bits),
             fmt::format("{:.4f}", p.kld), interval(p.kld_ci_low, p.kld_ci_high),
             std::isnan(p.p999) ? "" : fmt::format("{:.3f}", p.p999), fmt::format("{:.1f} %", 100.0 * p.same_top), difference},
            first);
        first = false;
    }
    return text + "\n";
}

std::string memory(const PrecisionPlan & plan) {
    std::string text =
        "## Memory\n\nMiB of the whole cache of one sequence.\n\n"
        "| context | this plan | f16 | q8\\_0 | q4\\_0 |\n|---:|---:|---:|---:|---:|\n";
    for (const MemoryRow & m : memory_by_context(plan))
        text += row({fmt::format("{}", m.cells), mib(m.plan), mib(m.f16), mib(m.q8_0), mib(m.q4_0)});
    return text + "\n";
}

std::string speed(const BenchRecord & bench) {
    std::string text = fmt::format(
        "## Speed\n\nTokens per second, median of {} interleaved repetitions (slowest to fastest), and ratio to stock f16; {} "
        "threads, {}.\n\n| tokens in the cache | cache | prefill of {} | to f16 | generation of {} | to f16 |\n"
        "|---:|---|---|---:|---|---:|\n",
        bench.repetitions, bench.n_threads == 0 ? "all" : fmt::format("{}", bench.n_threads), plain(bench.processor),
        bench.prefill_tokens, bench.generate_tokens);
    const auto speed_cell = [](const Speed & s) { return fmt::format("{:.1f} ({:.1f} to {:.1f})", s.median, s.min, s.max); };
    for (const BenchRow & r : bench.rows) {
        text += row({fmt::format("{}", r.depth), plain(r.label), speed_cell(r.prefill), fmt::format("{:.2f}", r.prefill.ratio),
                     speed_cell(r.generation), fmt::format("{:.2f}", r.generation.ratio)});
    }
    return text + "\n";
}

std::string provenance(const Results & results, const std::string & tool_version) {
    const Study & study = results.study;
    const auto    line  = [](const char * what, const std::string & value) { return fmt::format("* {}: {}\n", what, value); };
    std::string   text  = "## Provenance\n\n";
    text += line("model", fmt::format("{} ({}, {} layers, {} KV heads)", plain(study.model.name), plain(study.model.arch),
                                      study.model.n_layer, study.model.n_kv_heads));
    text += line("SHA-256 of the model file", study.model.file_sha256);
    text += line("mode and method", fmt::format("{}, {}", mode_name(study.mode), study.method));
    text += line("seed", fmt::format("{}", study.seed));
    text += line("plans scored",
                 fmt::format("{}{}", study.evaluations.size(), study.complete ? "" : " (the search was not finished)"));
    text += line("SHA-256 of the search text", study.data_sha256);
    if (results.held_out) text += line("SHA-256 of the held-out text", results.held_out->data_sha256);
    if (results.sensitivity) text += line("SHA-256 of the prompts", results.sensitivity->data_sha256);
    if (!study.calibration.sha256.empty()) text += line("SHA-256 of the calibration", study.calibration.sha256);
    if (results.plan) text += line("plan made by kvtuner", plain(results.plan->provenance.tool_version));
    text += line("report made by kvtuner", plain(tool_version));
    text += "\n```\n";
    for (const std::string & command : commands_to_repeat(results)) text += command + "\n";
    return text + "```\n";
}

}  // namespace

std::string markdown_report(const Results & results, const std::string & tool_version) {
    std::string text = fmt::format("# KV cache precision of {}\n\n", plain(results.study.model.name));
    text += plan_by_layer(results) + frontier(results) + sensitivity(results);
    if (results.held_out) text += held_out(*results.held_out);
    if (results.plan) text += memory(*results.plan);
    if (results.bench) text += speed(*results.bench);
    text += task_markdown(results);
    return text + provenance(results, tool_version);
}

}  // namespace kvt
