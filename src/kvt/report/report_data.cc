#include "kvt/report/report_data.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/json_text.h"
#include "kvt/base/shell.h"
#include "kvt/report/needle_map.h"

namespace kvt {

namespace {

constexpr uint64_t kFirstContext = 1024, kLastContext = 131072;

Json memory_json(const PrecisionPlan & plan) {
    Json rows = Json::array();
    for (const MemoryRow & row : memory_by_context(plan))
        rows.push_back({{"cells", row.cells}, {"plan", row.plan}, {"f16", row.f16}, {"q8_0", row.q8_0}, {"q4_0", row.q4_0}});
    return rows;
}

Json formats_json(const PrecisionPlan & plan) {
    Json layers = Json::array();
    for (const LayerPlan & layer : plan.layers) {
        layers.push_back({{"layer", layer.layer},
                          {"k_bits", layer.k.bits},
                          {"v_bits", layer.v.bits},
                          {"k", format_name(layer.k)},
                          {"v", format_name(layer.v)},
                          {"sliding", layer.attn == Attention::sliding}});
    }
    return layers;
}

// Names of plans as they were given; tuned/plan.json stands for the plan of this folder.
std::string bench_command(const BenchRecord & bench) {
    std::vector<int>         depths;
    std::vector<std::string> plans;
    for (const BenchRow & row : bench.rows) {
        if (depths.empty() || depths.back() != row.depth) depths.push_back(row.depth);
        if (depths.size() == 1 && &row != &bench.rows.front()) plans.push_back("--plan " + shell_quoted(clean_text(row.label)));
    }
    return fmt::format("kvtuner bench -m model.gguf {} --depth {} --reps {} -o tuned/bench.json", fmt::join(plans, " "),
                       fmt::join(depths, ","), bench.repetitions);
}

std::string kld_command(const KldRecordView & record) {
    std::vector<int>         lengths;
    std::vector<std::string> plans;
    for (const KldOfLength & length : record.lengths) lengths.push_back(length.n_ctx);
    for (const PlanByPosition & plan : record.lengths.front().plans)
        plans.push_back("--plan " + shell_quoted(clean_text(plan.name)));
    return fmt::format("kvtuner eval kld -m model.gguf {} -c {} --chunks {}{} -o tuned/eval_kld.json", fmt::join(plans, " "),
                       fmt::join(lengths, ","), record.lengths.front().n_chunks,
                       record.lengths.front().mode == "decode" ? " --decode" : "");
}

// Comparisons as the report shows them; the records lie in the folder itself or one below.
void add_comparisons(const TaskRun & run, double margin, std::vector<std::string> & commands) {
    const auto record = [](const TaskPlan & plan) { return shell_quoted("tuned/" + clean_text(plan.file)); };
    for (const TaskPlan & plan : run.plans) {
        if (plan.differences.empty()) continue;
        commands.push_back(
            fmt::format("kvtuner eval compare {} {} --margin {:g}", record(run.plans.front()), record(plan), 100 * margin));
    }
}

Json sensitivity_json(const SensitivityTable & table) {
    Json j = Json::parse(write_record(table));
    for (Json & layer : j["layers"])
        for (const char * key : {"e_k_head", "e_v_head", "e_a_head", "e_o_head", "patterns"}) layer.erase(key);
    return j;
}

}  // namespace

std::vector<MemoryRow> memory_by_context(const PrecisionPlan & plan) {
    const auto             positions = static_cast<uint64_t>(plan.calibration.positions);
    const uint64_t         last      = positions > 0 ? std::min(positions, kLastContext) : kLastContext;
    std::vector<MemoryRow> rows;
    for (uint64_t cells = kFirstContext; cells <= last; cells *= 2) {
        const CacheSize size     = plan_size(plan, cells);
        const uint64_t  elements = size.bytes_f16 / 2;
        rows.push_back({cells, size.bytes, size.bytes_f16, elements * 34 / 32, elements * 18 / 32});
    }
    return rows;
}

std::vector<std::string> commands_to_repeat(const Results & results) {
    const Study & study = results.study;
    std::string   tune  = "kvtuner tune -m model.gguf -o tuned";
    if (over_groups(study)) tune += " --method paper";
    tune += fmt::format(" --mode {}", mode_name(study.mode));
    if (scored_on_text(study)) {
        tune += fmt::format(" -c {} --chunks {}", study.chunk_tokens, study.n_chunks);
    } else {
        const size_t space = study.objective.find(' ');
        tune += fmt::format(" --objective {} --score {} --task-items {}", study.objective.substr(0, space),
                            study.objective.substr(space + 1), study.n_chunks);
    }
    if (over_groups(study)) {
        tune += fmt::format(" --population {} --generations {} --seed {}", study.population, study.generations, study.seed);
        if (study.method == kMoead) tune += " --algorithm moead";
        if (!study.seeded) tune += " --first-plans chance";
        if (!study.soft_limits.empty()) tune += fmt::format(" --soft-limits {}", fmt::join(study.soft_limits, ","));
    }
    if (results.sensitivity)
        tune += fmt::format(" --prompts {} --generate {}", results.sensitivity->n_prompts, results.sensitivity->n_generated);
    if (study.calibration.positions > 0) tune += fmt::format(" --positions {}", study.calibration.positions);
    if (results.held_out) tune += fmt::format(" --check-chunks {}", results.held_out->n_chunks);

    std::vector<std::string> commands{"sha256sum model.gguf", tune, "kvtuner report tuned"};
    if (results.plan) {
        commands.emplace_back("kvtuner plan show tuned/plan.json -c 8192");
        if (results.held_out) {
            commands.push_back(fmt::format("kvtuner eval kld -m model.gguf --plan tuned/plan.json -c {} --chunks {}",
                                           results.held_out->chunk_tokens, results.held_out->n_chunks));
        }
        if (results.positions) commands.push_back(kld_command(*results.positions));
        if (results.bench) commands.push_back(bench_command(*results.bench));
        for (const TaskRun & run : results.tasks) add_comparisons(run, results.margin, commands);
        commands.emplace_back(
            "GGML_BACKEND_PATH=libggml-kvtuner.so KVT_PLAN=tuned/plan.json llama-server -m model.gguf --device KVT0 -c 8192");
    }
    return commands;
}

std::string clean_text(std::string_view text) {
    const std::string valid = json_text(text);
    auto              clean = Json::parse(valid).get<std::string>();
    for (char & c : clean)
        if ((c >= 0 && c < ' ') || c == 127) c = ' ';
    return clean;
}

Json report_json(const Results & results, const std::string & tool_version) {
    Json j;
    j["schema"]         = "kvtuner.report";
    j["schema_version"] = 1;
    j["tool_version"]   = tool_version;
    j["study"]          = Json::parse(write_record(results.study));
    j["held_out"]       = results.held_out ? Json::parse(write_record(*results.held_out)) : Json();
    j["sensitivity"]    = results.sensitivity ? sensitivity_json(*results.sensitivity) : Json();
    j["candidates"]     = results.candidates ? Json::parse(write_record(*results.candidates)) : Json();
    j["chosen"]         = results.chosen;
    j["chosen_pairs"]   = Json::array();
    for (const PairBits & pair : chosen_pairs(results)) j["chosen_pairs"].push_back({pair.k, pair.v});
    j["formats"]           = results.plan ? formats_json(*results.plan) : Json();
    j["plan_tool_version"] = results.plan ? Json(results.plan->provenance.tool_version) : Json();
    j["memory"]            = results.plan ? memory_json(*results.plan) : Json::array();
    j["bench"]             = results.bench ? bench_json(*results.bench) : Json();
    j["positions"]         = results.positions ? kld_view_json(*results.positions) : Json();
    j["tasks"]             = results.tasks.empty() ? Json() : task_runs_json(results.tasks, results.margin);
    j["needles"]           = needle_maps_json(needle_maps(results.tasks));
    j["commands"]          = commands_to_repeat(results);
    return j;
}

}  // namespace kvt
