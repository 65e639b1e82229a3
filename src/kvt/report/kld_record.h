// What the report takes from a record of kvtuner eval kld: divergence by position in the chunk, of every plan and length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

struct PositionBin {
    int    first = 0, last = 0;  // scored positions of every chunk
    double kld = 0, same_top = 0;
};

struct PlanByPosition {
    std::string              name;
    double                   effective_bits = 16, kld = 0;
    std::vector<PositionBin> bins;
};

struct KldOfLength {
    int                         n_ctx = 0, n_chunks = 0;
    std::string                 mode;       // "batch" or "decode"
    double                      floor = 0;  // the higher of F1 and Fk; 0 where none was measured
    std::vector<PlanByPosition> plans;
};

struct KldRecordView {
    std::string              model, file_sha256, data_name;
    std::vector<KldOfLength> lengths;  // as many as --ctx named
};

// Schema "kvtuner.eval.kld" version 1, an object or an array of them; fields that are not shown are not looked at.
// Errors name the JSON pointer of the value; records of different models or texts in one file are one.
Result<KldRecordView> parse_kld_view(std::string_view json_text);

nlohmann::ordered_json kld_view_json(const KldRecordView & view);

}  // namespace kvt
