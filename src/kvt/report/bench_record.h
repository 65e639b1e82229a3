// What kvtuner bench measured, as a record: speed of plans beside stock f16 by depth. Schema "kvtuner.bench" version 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// Tokens per second over the repetitions (higher is better); `ratio` is the median over repetitions of this subject's
// speed divided by that of the first subject in the same repetition.
struct Speed {
    double median = 0, min = 0, max = 0, ratio = 0;
};

struct BenchRow {
    std::string label;
    int         depth = 0;  // tokens in the cache before the clock starts
    Speed       prefill, generation;
    uint64_t    kv_bytes = 0;
};

struct BenchRecord {
    std::string           model, file_sha256, processor;
    int                   n_threads       = 0;  // 0: all cores
    int                   repetitions     = 0;
    int                   prefill_tokens  = 0;
    int                   generate_tokens = 0;
    std::vector<BenchRow> rows;  // by depth, then by subject; stock f16 is the first of every depth
};

nlohmann::ordered_json bench_json(const BenchRecord & record);

// Strict; errors name the JSON pointer of the value.
Result<BenchRecord> parse_bench(std::string_view json_text);

}  // namespace kvt
