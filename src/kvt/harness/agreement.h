// Greedy divergence: how many tokens a plan generates before the first one that the f16 cache would not have (evaluation.md 1.7).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/base/stats.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/kld.h"

namespace kvt {

// --- Interface ---

struct AgreementOptions {
    std::vector<NamedPlan>   plans;
    int                      n_tokens = 256;  // generated per prompt; a token that ends a text is one like any other
    int                      n_slots = 4, n_batch = 512, n_ubatch = 512, n_threads = 0;
    std::string              tool_version, data_name, data_sha256;
    std::vector<std::string> warnings;
};

struct AgreementRow {
    std::string             name;
    std::string             plan_sha256;  // empty for the floor
    double                  payload_bits = 16, effective_bits = 16;
    std::vector<int>        first_difference;  // [n_prompts] index of the first other token; n_tokens if there is none
    double                  median = 0, mean = 0;
    std::optional<Interval> interval;         // of the mean, by prompts; none below 8
    double                  share_equal = 0;  // prompts without a difference
};

struct AgreementRecord {
    ModelInfo                 model;
    std::string               tool_version, data_name, data_sha256, prompts_sha256;
    int                       n_prompts = 0, n_tokens = 0, n_ctx = 0, n_slots = 0, n_batch = 0, n_ubatch = 0, n_threads = 0;
    std::vector<AgreementRow> rows;  // the floor first: an f16 cache through the plugin's kernels, another correct run
    std::vector<std::string>  warnings;
};

// Prompts as tokens, each with at least one. Errors: no prompts, options out of range, those of the engine, "interrupted".
Result<AgreementRecord> measure_agreement(ModelRunner & runner, const std::vector<std::vector<Token>> & prompts,
                                          const AgreementOptions & options, Progress & progress);

// `n` pieces of `length` tokens, evenly spread over a text of tokens without BOS; BOS is put in front where the model wants it.
// Errors: fewer than n * length tokens.
Result<std::vector<std::vector<Token>>> cut_prompts(const ModelRunner & runner, std::span<const Token> text, int n, int length);

std::string write_record(const AgreementRecord & record);  // JSON, schema "kvtuner.eval.agreement" version 1, ends with a newline

}  // namespace kvt
