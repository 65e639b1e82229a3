// Perplexity of a cache on a text, as llama-perplexity defines it: second half of each chunk (evaluation.md 1.1, 1.3).
//
// Not to be trusted alone: it can improve while the distribution has moved far away. KL divergence is the main measure.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/chunks.h"
#include "kvt/eval/kld.h"

namespace kvt {

// --- Interface ---

struct PplRow {
    std::string name;
    Estimate    ppl;
    double      payload_bits = 16, effective_bits = 16;
};

struct PplRecord {
    ModelInfo                model;
    std::string              tool_version, data_name, data_sha256;
    int                      n_ctx = 0, n_chunks = 0, n_batch = 0, n_ubatch = 0, n_threads = 0;
    int64_t                  n_tokens  = 0;
    EvalMode                 mode      = EvalMode::batch;
    uint64_t                 seed      = 1;
    int                      resamples = 0;
    std::vector<PplRow>      rows;  // the stock f16 cache first, then the plans
    std::vector<std::string> warnings;
};

// Uses the same options as evaluate_kld; floors do not apply. Errors: as evaluate_kld.
Result<PplRecord> evaluate_ppl(ModelRunner & runner, std::span<const Token> tokens, const KldOptions & options,
                               Progress & progress);

std::string write_record(const PplRecord & record);  // JSON, schema "kvtuner.eval.ppl" version 1, ends with a newline

}  // namespace kvt
