#include <cmath>

#include <fmt/format.h>

#include "kvt/report/needle_map.h"
#include "kvt/report/report_data.h"
#include "kvt/report/text_files.h"

namespace kvt {

namespace {

std::string cell(const std::string & text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}
std::string cell(double x) { return std::isfinite(x) ? fmt::format("{}", x) : ""; }
std::string cell(const std::optional<double> & x) { return x ? cell(*x) : ""; }
std::string cell(int x) { return fmt::format("{}", x); }
std::string cell(uint64_t x) { return fmt::format("{}", x); }

template <class... Cells>
void row(std::string & text, const Cells &... cells) {
    const char * comma = "";
    ((text += comma + cell(cells), comma = ","), ...);
    text += "\r\n";
}

// "KV4 K5V4 ..." of all layers.
std::string pairs_text(const std::vector<PairBits> & pairs) {
    std::string text;
    for (const PairBits & pair : pairs) text += (text.empty() ? "" : " ") + pair_name(pair.k, pair.v);
    return text;
}

std::string evaluations_csv(const Results & results) {
    const Study &     study = results.study;
    std::vector<bool> front(study.evaluations.size());
    for (const int i : study.front) front[static_cast<size_t>(i)] = true;
    std::string text = "index,label,payload_bits,effective_bits,kld,kld_ci_low,kld_ci_high,front,chosen,pairs\r\n";
    for (size_t i = 0; i < study.evaluations.size(); ++i) {
        const Evaluation & e = study.evaluations[i];
        row(text, static_cast<uint64_t>(i), e.label, e.payload_bits, e.effective_bits, e.kld, e.kld_ci_low, e.kld_ci_high,
            front[i] ? 1 : 0, static_cast<int>(i) == results.chosen ? 1 : 0, pairs_text(e.pairs));
    }
    return text;
}

std::string held_out_csv(const HeldOutCheck & check) {
    std::string text =
        "label,payload_bits,effective_bits,kld,kld_ci_low,kld_ci_high,p999,same_top,vs_tuned,vs_tuned_low,vs_tuned_high,"
        "pairs\r\n";
    for (const CheckedPlan & p : check.plans) {
        row(text, p.label, p.payload_bits, p.effective_bits, p.kld, p.kld_ci_low, p.kld_ci_high, p.p999, p.same_top, p.vs_tuned,
            p.vs_tuned_low, p.vs_tuned_high, pairs_text(p.pairs));
    }
    return text;
}

std::string plan_csv(const PrecisionPlan & plan) {
    std::string text = "layer,k_bits,v_bits,k_format,v_format\r\n";
    for (const LayerPlan & l : plan.layers) row(text, l.layer, int{l.k.bits}, int{l.v.bits}, format_name(l.k), format_name(l.v));
    return text;
}

std::string memory_csv(const PrecisionPlan & plan) {
    std::string text = "cells,plan_bytes,f16_bytes,q8_0_bytes,q4_0_bytes\r\n";
    for (const MemoryRow & m : memory_by_context(plan)) row(text, m.cells, m.plan, m.f16, m.q8_0, m.q4_0);
    return text;
}

std::string increments_csv(const Increments & found) {
    std::string text = "layer,probe_bits,k_kld,v_kld\r\n";
    for (size_t l = 0; l < found.k.size(); ++l) row(text, static_cast<uint64_t>(l), found.probe_bits, found.k[l], found.v[l]);
    return text;
}

std::string sensitivity_csv(const SensitivityTable & table) {
    std::string text = "layer,pair,e_o\r\n";
    for (const LayerErrors & layer : table.layers)
        for (size_t p = 0; p < kPairs.size(); ++p) row(text, layer.layer, pair_name(kPairs[p].k, kPairs[p].v), layer.e_o[p]);
    return text;
}

std::string attention_csv(const SensitivityTable & table) {
    std::string text = "layer,head,sparsity,sink_mass,recent_mass,streaming\r\n";
    for (const LayerErrors & layer : table.layers) {
        int head = 0;
        for (const HeadPattern & p : layer.patterns)
            row(text, layer.layer, head++, p.sparsity, p.sink_mass, p.recent_mass, is_streaming(p) ? 1 : 0);
    }
    return text;
}

std::string bench_csv(const BenchRecord & bench) {
    std::string text =
        "depth,plan,kv_bytes,prefill,prefill_min,prefill_max,prefill_ratio,generation,generation_min,generation_max,"
        "generation_ratio\r\n";
    for (const BenchRow & r : bench.rows) {
        row(text, r.depth, r.label, r.kv_bytes, r.prefill.median, r.prefill.min, r.prefill.max, r.prefill.ratio,
            r.generation.median, r.generation.min, r.generation.max, r.generation.ratio);
    }
    return text;
}

std::string positions_csv(const KldRecordView & record) {
    std::string text = "chunk_tokens,plan,first,last,kld,same_top\r\n";
    for (const KldOfLength & length : record.lengths)
        for (const PlanByPosition & plan : length.plans)
            for (const PositionBin & b : plan.bins) row(text, length.n_ctx, plan.name, b.first, b.last, b.kld, b.same_top);
    return text;
}

// Ends of an interval that may be missing.
std::optional<double> low_end(const std::optional<Interval> & x) { return x ? std::optional(x->low) : std::nullopt; }
std::optional<double> high_end(const std::optional<Interval> & x) { return x ? std::optional(x->high) : std::nullopt; }

std::string tasks_csv(const Results & results) {
    std::string text =
        "task,variant,plan,effective_bits,complete,items,score,mean,ci_low,ci_high,difference,difference_low,difference_high,"
        "only_reference,only_candidate,mcnemar_p,smallest_margin,margin,equivalent\r\n";
    for (const TaskRun & run : results.tasks) {
        for (const TaskPlan & plan : run.plans) {
            for (const auto & [name, score] : plan.summary.scores) {
                const ScoreDifference * d     = difference_of(plan, name);
                const PairedScore       p     = d == nullptr ? PairedScore{} : d->paired;
                const auto              known = [&](bool there, const std::string & value) { return there ? value : ""; };
                row(text, run.task, run.variant, plan.name, plan.effective_bits, plan.complete ? 1 : 0, plan.summary.n_items,
                    name, score.mean, low_end(score.interval), high_end(score.interval), known(d != nullptr, cell(p.difference)),
                    low_end(p.interval), high_end(p.interval), known(p.binary, cell(p.only_first)),
                    known(p.binary, cell(p.only_second)), p.p, p.smallest_margin,
                    known(p.smallest_margin.has_value(), cell(results.margin)),
                    known(p.smallest_margin.has_value(), cell(p.smallest_margin <= results.margin ? 1 : 0)));
            }
        }
    }
    return text;
}

std::string changed_answers_csv(const Results & results) {
    std::string text = "task,variant,plan,item,sample,gold,reference_answer,answer,reference_score,score\r\n";
    for (const TaskRun & run : results.tasks) {
        for (const TaskPlan & plan : run.plans) {
            for (const ChangedAnswer & c : plan.changed) {
                row(text, run.task, run.variant, plan.name, c.item, c.sample, c.gold.value_or(""), c.reference.value_or(""),
                    c.answer.value_or(""), c.reference_score, c.score);
            }
        }
    }
    return text;
}

std::string needles_csv(const std::vector<NeedleMap> & maps) {
    std::string text = "task,variant,plan,length,depth,n,mean,reference\r\n";
    for (const NeedleMap & map : maps) {
        for (const NeedlePlan & plan : map.plans) {
            for (const NeedleCell & c : plan.cells)
                row(text, map.task, map.variant, plan.name, c.found.length, c.found.depth, c.found.n, c.found.mean, c.reference);
        }
    }
    return text;
}

}  // namespace

std::vector<NamedText> csv_files(const Results & results) {
    std::vector<NamedText> files{{"evaluations.csv", evaluations_csv(results)}};
    if (results.held_out) files.push_back({"held_out.csv", held_out_csv(*results.held_out)});
    if (results.plan) files.push_back({"plan.csv", plan_csv(*results.plan)});
    if (results.plan) files.push_back({"memory.csv", memory_csv(*results.plan)});
    if (results.study.increments) files.push_back({"increments.csv", increments_csv(*results.study.increments)});
    if (results.sensitivity) files.push_back({"sensitivity.csv", sensitivity_csv(*results.sensitivity)});
    if (results.sensitivity && !results.sensitivity->layers.front().patterns.empty())
        files.push_back({"attention.csv", attention_csv(*results.sensitivity)});
    if (results.bench) files.push_back({"bench.csv", bench_csv(*results.bench)});
    if (results.positions) files.push_back({"positions.csv", positions_csv(*results.positions)});
    if (!results.tasks.empty()) files.push_back({"tasks.csv", tasks_csv(results)});
    if (compared(results.tasks)) files.push_back({"changed_answers.csv", changed_answers_csv(results)});
    if (const auto maps = needle_maps(results.tasks); !maps.empty()) files.push_back({"needles.csv", needles_csv(maps)});
    return files;
}

}  // namespace kvt
