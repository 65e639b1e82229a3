// Speed of plans beside stock f16: all of them in turn within every repetition, so that a noisy machine hurts all alike.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/report/bench_record.h"

namespace kvt::cli {

// --- Interface ---

constexpr int kBenchPrefillTokens  = 512;
constexpr int kBenchGenerateTokens = 32;

struct BenchSubject {
    std::string                  label;
    std::optional<PrecisionPlan> plan;  // none: stock f16
};

struct BenchOptions {
    std::vector<int> depths{0};  // tokens in the cache before the clock starts
    int              n_threads = 0, repetitions = 3;
};

// Rows by depth, then by subject. At each depth: fill the cache (not timed), generate 32 tokens one by one at that depth,
// then prefill 512 more (at depth 0 into an empty cache). One untimed repetition comes first.
// `seconds` is the clock. Errors: those of the session; "interrupted".
Result<std::vector<BenchRow>> run_bench(ModelRunner & runner, const std::vector<BenchSubject> & subjects,
                                        const BenchOptions & options, Progress & progress,
                                        const std::function<double()> & seconds);

// Median, extremes, and the median of samples[i] / reference[i]. Both must have the same size, at least 1.
Speed summarize(const std::vector<double> & samples, const std::vector<double> & reference);

}  // namespace kvt::cli
