#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"
#include "kvt/eval/kld.h"
#include "kvt/plan/model_json.h"

namespace kvt {

// --- Implementation ---

namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Estimate & e) {
    Json j{{"value", e.value}};
    j["error"] = or_null(e.error);
    put_interval(j, e.interval);
    return j;
}

Json to_json(const std::optional<Estimate> & e) { return e ? to_json(*e) : Json(nullptr); }

Json to_json(const KldStats & s) {
    return Json{{"n_tokens", s.n_tokens},
                {"mean", to_json(s.mean)},
                {"median", to_json(s.median)},
                {"p90", to_json(s.p90)},
                {"p95", to_json(s.p95)},
                {"p99", to_json(s.p99)},
                {"p99.9", to_json(s.p999)},
                {"max", to_json(s.max)},
                {"same_top_1", to_json(s.same_top)},
                {"ppl", to_json(s.ppl_cand)},
                {"ln_ppl_ratio", to_json(s.ln_ppl_ratio)},
                {"delta_p_mean", to_json(s.delta_p_mean)},
                {"delta_p_rms", to_json(s.delta_p_rms)},
                {"chunk_means", s.chunk_means}};
}

Json to_json(const std::vector<PositionError> & bins) {
    Json all = Json::array();
    for (const PositionError & b : bins)
        all.push_back({{"first", b.first}, {"last", b.last}, {"kld", b.kld}, {"same_top_1", b.same_top}});
    return all;
}

Json to_json(const PlanResult & p) {
    return Json{{"name", p.name},
                {"plan_sha256", text_or_null(p.plan_sha256)},
                {"payload_bits", p.payload_bits},
                {"effective_bits", p.effective_bits},
                {"kv_bytes", p.kv_bytes},
                {"at_floor", p.at_floor},
                {"above_floor", to_json(p.above_floor)},
                {"above_first_plan", to_json(p.above_first)},
                {"kld", to_json(p.stats)},
                {"by_position", to_json(p.by_position)}};
}

Json to_json(const FloorResult & f) {
    return Json{{"name", f.name}, {"what", f.what},          {"n_chunks", f.n_chunks}, {"mean", to_json(f.estimate)},
                {"max", f.max},   {"same_top_1", f.same_top}};
}

}  // namespace

std::string write_record(const KldRecord & r) {
    Json j{{"schema", "kvtuner.eval.kld"}, {"schema_version", 1}, {"tool_version", r.tool_version}};
    j["model"]    = model_json(r.model);
    j["data"]     = {{"name", r.data_name}, {"sha256", r.data_sha256}, {"base_file", text_or_null(r.base_file)}};
    j["settings"] = {{"n_ctx", r.n_ctx},
                     {"n_chunks", r.n_chunks},
                     {"n_batch", r.n_batch},
                     {"n_ubatch", r.n_ubatch},
                     {"n_threads", r.n_threads},
                     {"mode", eval_mode_name(r.mode)},
                     {"kld_rule", kld_rule_name(r.rule)},
                     {"flash_attention", true},
                     {"seed", r.seed},
                     {"resamples", r.resamples},
                     {"effective_bits_at", kSizeAtTokens}};
    j["n_tokens"] = r.n_tokens;
    j["ppl_ref"]  = to_json(r.ppl_ref);
    j["plans"]    = Json::array();
    for (const PlanResult & p : r.plans) j["plans"].push_back(to_json(p));
    j["floors"] = Json::array();
    for (const FloorResult & f : r.floors) j["floors"].push_back(to_json(f));
    j["warnings"] = r.warnings;
    return json_text(j, 2) + "\n";
}

}  // namespace kvt
