// KL divergence of KV cache plans from the f16 cache, on the same weights and tokens (evaluation.md 1).
//
// Reference, plans and floors are fed the same slices in turn; logits are compared and thrown away, so memory is one slice of
// reference logits. The reference runs once per chunk for all plans, and every comparison between plans is paired.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/chunks.h"
#include "kvt/eval/kl_base_file.h"
#include "kvt/eval/kld_stats.h"

namespace kvt {

// --- Interface ---

inline constexpr int kSizeAtTokens        = 4096;  // effective bits are counted at this many cells
inline constexpr int kDefaultDecodeChunks = 8;     // decode mode feeds one token a call and is slow

struct NamedPlan {
    std::string   name;  // as the user wrote it
    PrecisionPlan plan;
};

enum class Floors : uint8_t { measure, skip };

struct KldOptions {
    std::vector<NamedPlan>   plans;
    int                      n_ctx = 512, max_chunks = 0;  // 0: all in batch mode, kDefaultDecodeChunks in decode mode
    int                      n_batch = 512, n_ubatch = 512, n_threads = 0;
    EvalMode                 mode         = EvalMode::batch;
    Floors                   floors       = Floors::measure;
    LongContext              long_context = LongContext::refuse;
    uint64_t                 seed         = 1;
    int                      resamples    = kDefaultResamples;
    std::string              tool_version, data_name, data_sha256;
    std::vector<std::string> warnings;
};

// Error in a part of the context: scored positions first .. last of every chunk.
struct PositionError {
    int    first = 0, last = 0;
    double kld = 0, same_top = 0;  // means
};
inline constexpr int kPositionBins = 8;  // equal parts of the scored positions

// chunks[c][i] scores position first_scored + i. Fewer positions than bins: one bin each.
std::vector<PositionError> error_by_position(std::span<const ChunkScores> chunks, int first_scored);

struct PlanResult {
    std::string                plan_sha256;  // of the canonical plan text; empty for the stock cache
    std::string                name;
    double                     payload_bits = 16, effective_bits = 16;
    uint64_t                   kv_bytes = 0;  // allocated for n_ctx cells
    KldStats                   stats;
    std::optional<Estimate>    above_floor;       // paired difference of mean KLD to the higher floor
    std::optional<Estimate>    above_first;       // ... to the first plan
    bool                       at_floor = false;  // not distinguishable from the higher floor
    std::vector<PositionError> by_position;
};

struct FloorResult {
    std::string name;  // "F0", "F1", "Fk"
    std::string what;
    int         n_chunks = 0;
    double      mean = 0, max = 0, same_top = 1;
    Estimate    estimate;
};

struct KldRecord {
    ModelInfo   model;
    std::string tool_version, data_name, data_sha256, base_file;  // base_file: empty unless the reference came from one
    int         n_ctx = 0, n_chunks = 0, n_batch = 0, n_ubatch = 0, n_threads = 0;
    int64_t     n_tokens  = 0;
    EvalMode    mode      = EvalMode::batch;
    KldRule     rule      = KldRule::exact;
    uint64_t    seed      = 1;
    int         resamples = 0;
    Estimate    ppl_ref;
    std::vector<PlanResult>  plans;  // with a base file, the stock f16 cache comes first
    std::vector<FloorResult> floors;
    std::vector<std::string> warnings;
};

// Floors (each the reference against another run that should be as good):
//   F0  a second reference, first chunk only: anything but exactly 0 means the backend is not deterministic (a warning)
//   F1  n_ubatch against n_ubatch / 2, batch mode only
//   Fk  the all-f16 plan through the plugin: another correct attention kernel. Skipped when no plan is given.
// A plan is at the floor unless its mean KLD is above the higher of F1 and Fk (paired interval above 0; with fewer than 8
// chunks, the means alone).
// Errors: text too short, bad options, a session that cannot be opened, logits that are not finite, "interrupted".
Result<KldRecord> evaluate_kld(ModelRunner & runner, std::span<const Token> tokens, const KldOptions & options,
                               Progress & progress);

// The same against a base file of llama-perplexity, whose tokens and context are used; the rule is "compat", no floors.
Result<KldRecord> evaluate_kld_base(ModelRunner & runner, KlBaseFile & base, const KldOptions & options, Progress & progress);

std::string write_record(const KldRecord & record);  // JSON, schema "kvtuner.eval.kld" version 1, ends with a newline

}  // namespace kvt
