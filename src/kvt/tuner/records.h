// Versioned artefacts that pass between the tuner's stages, and their JSON form (schema "kvtuner.<kind>", version 1; of the
// sensitivities version 2, of studies version 3, and older files are read too).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/file_io.h"
#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

// The nine pairs of the paper in the order of its tables: KV8 K8V4 K8V2 K4V8 KV4 K4V2 K2V8 K2V4 KV2.
inline constexpr std::array<PairBits, 9> kPairs{{{8, 8}, {8, 4}, {8, 2}, {4, 8}, {4, 4}, {4, 2}, {2, 8}, {2, 4}, {2, 2}}};
inline constexpr std::array<int, 3>      kBits{{8, 4, 2}};

// How one query head spreads its attention at full precision, mean over decode steps (KVTuner section 4: sparse heads that look
// at sinks and recent tokens bear few key bits, dense ones do not).
struct HeadPattern {
    double sparsity    = 0;  // share of attended tokens whose weight is below kSparseWeight of the largest one
    double sink_mass   = 0;  // weight of the first kSinkTokens tokens
    double recent_mass = 0;  // weight of the last kRecentTokens of the others
};
inline constexpr double kSparseWeight = 0.01;
inline constexpr int    kSinkTokens = 4, kRecentTokens = 32;

// A streaming head has nearly all its weight on sinks and recent tokens; any other one is a retrieval head.
inline bool is_streaming(const HeadPattern & p) { return p.sink_mass + p.recent_mass >= 0.9; }

// Errors of one layer (method.md 2.2): mean over prompts, heads, tokens, elements with equal weight at each level.
struct LayerErrors {
    int                   layer = 0;
    std::array<double, 3> e_k{}, e_v{}, e_a{};  // by kBits
    std::array<double, 9> e_o{};                // by kPairs
    // Per head, same measures: e_k_head[kv head][bits], e_o_head[query head][pair].
    std::vector<std::array<double, 3>> e_k_head, e_v_head, e_a_head;
    std::vector<std::array<double, 9>> e_o_head;
    std::vector<HeadPattern>           patterns;  // [n_q_heads]; empty in files of version 1
};

struct SensitivityTable {
    ModelInfo                model;
    Mode                     mode      = Mode::kivi;
    double                   eps       = 1e-6;  // guard of relative errors, part of the result
    int                      n_prompts = 0, n_generated = 0;
    int64_t                  n_tokens = 0;
    std::string              data_sha256;
    std::string              inputs_sha256;  // of everything the table depends on; a stage with equal inputs is not run again
    std::vector<LayerErrors> layers;
};

struct LayerCandidates {
    int              layer = 0;
    std::vector<int> pairs;  // indices into kPairs, ascending (most bits first)
};

struct CandidateSets {
    ModelInfo                    model;
    Mode                         mode = Mode::kivi;
    std::string                  inputs_sha256;
    std::vector<LayerCandidates> layers;
};

struct LayerGroup {
    std::vector<int>    layers;  // model layers, ascending
    std::vector<int>    pairs;   // candidate pairs of every layer in the group, indices into kPairs, ascending
    std::vector<double> e_o;     // [pairs] mean over the layers, to explain a group; the search measures costs itself
};

struct LayerGroups {
    ModelInfo               model;
    Mode                    mode        = Mode::kivi;
    double                  eps         = 0.05;
    int                     min_samples = 2;
    std::string             inputs_sha256;
    std::vector<LayerGroup> groups;  // numbered by smallest layer
};

// One scored plan. What `kld` holds is the study's objective: how much worse than the f16 cache the plan does.
struct Evaluation {
    std::vector<int>      choice;  // [n_groups] index into the group's pairs; empty for uniform plans outside the groups
    std::string           label;   // "KV4" for uniform plans, else ""
    double                payload_bits = 0, effective_bits = 0;
    double                kld = 0, kld_ci_low = 0, kld_ci_high = 0;
    std::vector<PairBits> pairs;      // [n_kv_layers]
    std::vector<double>   clipped{};  // [n_chunks] KLD of each with every token's cut to 0.1 nats, or the loss of each item
    // Kept in the study's file, not part of its JSON form, since they differ from run to run.
    double      seconds = 0;  // wall time of scoring; 0: unknown
    std::string worker{};     // "host:process" that scored; empty: unknown
};

// What one side of one layer costs alone: KLD of the plan in which only it leaves 8 bits, above that of the all-8-bit plan.
struct Increments {
    int                 probe_bits = 0;  // what it goes to
    std::vector<double> k, v;            // [n_layer] from clipped KLD where that is known
    double              noise = 0;       // standard error of one of them, pooled over all
};

inline constexpr const char * kNsga2    = "nsga2";     // over layer groups, as in the paper's code
inline constexpr const char * kMoead    = "moead";     // over layer groups, as in the paper's text
inline constexpr const char * kKnapsack = "knapsack";  // over layers, from increments

// Objectives. The others are "TASK accuracy", share of answers that f16 gets right and the plan does not, and "TASK loglik", nats
// per token that reference answers become less likely; both can be below 0.
inline constexpr const char * kKldObjective = "kld";  // nats, mean over the tokens of a text

struct Study {
    ModelInfo                 model;
    Mode                      mode      = Mode::kivi;
    std::string               method    = kNsga2;
    std::string               objective = kKldObjective;
    CalibrationRef            calibration;  // of the transforms that the plans use; empty if they use none
    uint64_t                  seed       = 0;
    int                       population = 0, generations = 0;
    bool                      seeded = true;  // groups: the first population came from isolated scores, else from chance
    std::vector<double>       soft_limits;    // groups: payload bits M of each run of the sampler; empty: one run without
    int                       chunk_tokens = 0, n_chunks = 0;  // of the text; for a task 0 and the number of items
    int                       at_tokens = 4096;                // effective bits are counted at so many cells
    double                    floor     = 0;                   // KLD or loss of the all-f16 plan on the same tokens
    std::string               data_sha256;
    std::string               inputs_sha256;     // of everything a score depends on: model, mode, text, chunks; not the seed
    bool                      complete = false;  // false while the search runs or after an interrupt
    LayerGroups               groups;            // none for the knapsack
    std::optional<Increments> increments;
    std::vector<Evaluation>   evaluations;  // in order of evaluation
    std::vector<Evaluation>   ahead;        // scored, but the search has not come to them yet; not part of the JSON form
    std::vector<int>          front;        // indices, ascending effective bits; the f16 floor ("KV16") is never in it
};

// The plan of one evaluation, with the study's calibration where it needs one.
inline PrecisionPlan plan_of(const Study & study, const std::vector<PairBits> & pairs) {
    PrecisionPlan plan = plan_of(study.model, study.mode, pairs);
    if (!plan.transforms.empty()) plan.calibration = study.calibration;
    return plan;
}

inline bool scored_on_text(const Study & study) { return study.objective == kKldObjective; }

inline bool over_groups(const Study & study) { return study.method != kKnapsack; }

// A plan picked from a study, and the reason in one sentence.
struct Choice {
    int         evaluation = -1;
    std::string why;
};

// How plans did on text the search has not seen, all on the same tokens.
struct CheckedPlan {
    std::string           label;  // "tuned", "KV4", ...
    double                payload_bits = 0, effective_bits = 0;
    double                kld = 0, kld_ci_low = 0, kld_ci_high = 0;  // interval NaN with fewer than 8 chunks
    double                p999 = 0, same_top = 0;  // KLD of the worst 0.1 % of tokens (NaN: too few tokens); share 0..1
    double                vs_tuned = 0, vs_tuned_low = 0, vs_tuned_high = 0;  // paired: KLD of this plan minus KLD of "tuned"
    std::vector<PairBits> pairs;                                              // [n_kv_layers]
};

struct HeldOutCheck {
    ModelInfo                model;
    Mode                     mode = Mode::kivi;
    std::string              data_sha256, inputs_sha256;
    int                      chunk_tokens = 0, n_chunks = 0;
    int64_t                  n_tokens = 0;  // scored
    double                   floor    = 0;
    std::vector<CheckedPlan> plans;  // "tuned" first
};

// A record's file. Errors: unreadable, or those of `parse`; the message names the file.
template <class Record>
Result<Record> read_record_file(const std::string & path, Result<Record> (*parse)(std::string_view)) {
    KVT_TRY(const std::string text, read_file(path));
    auto record = parse(text);
    if (!record.ok()) return Error{path + ": " + record.error().message};
    return record;
}

// Writing is canonical: equal records give equal bytes. Reading is strict; each error names the JSON pointer of the value.
std::string              write_record(const SensitivityTable &);
std::string              write_record(const CandidateSets &);
std::string              write_record(const LayerGroups &);
std::string              write_record(const Study &);
std::string              write_record(const HeldOutCheck &);
Result<SensitivityTable> parse_sensitivity(std::string_view json_text);
Result<CandidateSets>    parse_candidates(std::string_view json_text);
Result<LayerGroups>      parse_groups(std::string_view json_text);
Result<Study>            parse_study(std::string_view json_text);
Result<HeldOutCheck>     parse_held_out(std::string_view json_text);

// A study in parts, as its file holds them: all but its evaluations, and one evaluation.
std::string   write_study_head(const Study &);
std::string   write_evaluation(const Evaluation &);
Result<Study> parse_study(std::string_view head, const std::vector<std::string> & evaluations);

}  // namespace kvt
