#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"
#include "kvt/plan/model_json.h"
#include "kvt/tuner/records.h"

namespace kvt {

namespace {

using Json = nlohmann::ordered_json;

Json head(const char * kind, const ModelInfo & m, Mode mode, const std::string & inputs, int version = 1) {
    Json j;
    j["schema"]         = std::string("kvtuner.") + kind;
    j["schema_version"] = version;
    j["model"]          = model_json(m);
    j["mode"]           = mode_name(mode);
    j["inputs_sha256"]  = inputs;
    return j;
}

Json pair_names(const std::vector<int> & pairs) {
    Json j = Json::array();
    for (const int p : pairs) j.push_back(pair_name(kPairs[static_cast<size_t>(p)].k, kPairs[static_cast<size_t>(p)].v));
    return j;
}

Json pair_names(const std::vector<PairBits> & pairs) {
    Json j = Json::array();
    for (const PairBits & p : pairs) j.push_back(pair_name(p.k, p.v));
    return j;
}

Json groups_json(const std::vector<LayerGroup> & groups) {
    Json j = Json::array();
    for (const LayerGroup & g : groups) j.push_back({{"layers", g.layers}, {"pairs", pair_names(g.pairs)}, {"e_o", g.e_o}});
    return j;
}

// All but the evaluations, which stand before the front.
Json study_head(const Study & s) {
    Json j         = head("study", s.model, s.mode, s.inputs_sha256, 3);
    j["method"]    = s.method;
    j["objective"] = s.objective;
    j["calibration"] =
        s.calibration.file.empty()
            ? Json(nullptr)
            : Json{{"file", s.calibration.file}, {"sha256", s.calibration.sha256}, {"positions", s.calibration.positions}};
    j["seed"]         = s.seed;
    j["population"]   = s.population;
    j["generations"]  = s.generations;
    j["seeded"]       = s.seeded;
    j["soft_limits"]  = s.soft_limits;
    j["chunk_tokens"] = s.chunk_tokens;
    j["n_chunks"]     = s.n_chunks;
    j["at_tokens"]    = s.at_tokens;
    j["floor"]        = s.floor;
    j["data_sha256"]  = s.data_sha256;
    j["complete"]     = s.complete;
    j["cluster_eps"]  = s.groups.eps;
    j["groups"]       = groups_json(s.groups.groups);
    j["increments"]   = s.increments ? Json{{"probe_bits", s.increments->probe_bits},
                                          {"k", s.increments->k},
                                          {"v", s.increments->v},
                                          {"noise", s.increments->noise}}
                                     : Json(nullptr);
    j["evaluations"]  = Json::array();
    j["front"]        = s.front;
    return j;
}

Json evaluation_json(const Evaluation & e) {
    return {{"label", e.label},
            {"payload_bits", e.payload_bits},
            {"effective_bits", e.effective_bits},
            {"kld", e.kld},
            {"kld_ci_low", finite_or_null(e.kld_ci_low)},
            {"kld_ci_high", finite_or_null(e.kld_ci_high)},
            {"clipped", e.clipped},
            {"choice", e.choice},
            {"pairs", pair_names(e.pairs)}};
}

std::string text_of(const Json & j) { return json_text(j, 1, JsonChars::ascii) + "\n"; }

}  // namespace

std::string write_record(const SensitivityTable & t) {
    Json j           = head("sensitivity", t.model, t.mode, t.inputs_sha256, 2);
    j["eps"]         = t.eps;
    j["n_prompts"]   = t.n_prompts;
    j["n_generated"] = t.n_generated;
    j["n_tokens"]    = t.n_tokens;
    j["data_sha256"] = t.data_sha256;
    j["layers"]      = Json::array();
    for (const LayerErrors & l : t.layers) {
        Json patterns = Json::array();
        for (const HeadPattern & p : l.patterns) patterns.push_back({p.sparsity, p.sink_mass, p.recent_mass});
        j["layers"].push_back({{"layer", l.layer},
                               {"e_k", l.e_k},
                               {"e_v", l.e_v},
                               {"e_a", l.e_a},
                               {"e_o", l.e_o},
                               {"e_k_head", l.e_k_head},
                               {"e_v_head", l.e_v_head},
                               {"e_a_head", l.e_a_head},
                               {"e_o_head", l.e_o_head},
                               {"patterns", std::move(patterns)}});
    }
    return text_of(j);
}

std::string write_record(const CandidateSets & c) {
    Json j      = head("candidates", c.model, c.mode, c.inputs_sha256);
    j["layers"] = Json::array();
    for (const LayerCandidates & l : c.layers) j["layers"].push_back({{"layer", l.layer}, {"pairs", pair_names(l.pairs)}});
    return text_of(j);
}

std::string write_record(const LayerGroups & g) {
    Json j           = head("groups", g.model, g.mode, g.inputs_sha256);
    j["eps"]         = g.eps;
    j["min_samples"] = g.min_samples;
    j["groups"]      = groups_json(g.groups);
    return text_of(j);
}

std::string write_record(const Study & s) {
    Json j = study_head(s);
    for (const Evaluation & e : s.evaluations) j["evaluations"].push_back(evaluation_json(e));
    return text_of(j);
}

std::string write_study_head(const Study & s) { return json_text(study_head(s), -1, JsonChars::ascii); }
std::string write_evaluation(const Evaluation & e) { return json_text(evaluation_json(e), -1, JsonChars::ascii); }

std::string write_record(const HeldOutCheck & c) {
    Json j            = head("held_out", c.model, c.mode, c.inputs_sha256);
    j["data_sha256"]  = c.data_sha256;
    j["chunk_tokens"] = c.chunk_tokens;
    j["n_chunks"]     = c.n_chunks;
    j["n_tokens"]     = c.n_tokens;
    j["floor"]        = c.floor;
    j["plans"]        = Json::array();
    for (const CheckedPlan & p : c.plans) {
        j["plans"].push_back({{"label", p.label},
                              {"payload_bits", p.payload_bits},
                              {"effective_bits", p.effective_bits},
                              {"kld", p.kld},
                              {"kld_ci_low", finite_or_null(p.kld_ci_low)},
                              {"kld_ci_high", finite_or_null(p.kld_ci_high)},
                              {"p999", finite_or_null(p.p999)},
                              {"same_top", p.same_top},
                              {"vs_tuned", p.vs_tuned},
                              {"vs_tuned_low", finite_or_null(p.vs_tuned_low)},
                              {"vs_tuned_high", finite_or_null(p.vs_tuned_high)},
                              {"pairs", pair_names(p.pairs)}});
    }
    return text_of(j);
}

}  // namespace kvt
