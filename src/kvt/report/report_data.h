// What the report shows beyond the records themselves: sizes of the cache, the commands to repeat it, and all of it as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/report/results.h"

namespace kvt {

// --- Interface ---

// Bytes of the whole K and V cache of one sequence.
struct MemoryRow {
    uint64_t cells = 0;
    uint64_t plan = 0, f16 = 0, q8_0 = 0, q4_0 = 0;
};

// Contexts of powers of two from 1024 to 131072, or to the positions that the plan's calibration covers. q8_0 and q4_0 are the
// stock cache types: 34 and 18 bytes for 32 elements.
std::vector<MemoryRow> memory_by_context(const PrecisionPlan & plan);

// Command lines that repeat the run, with every setting that the records hold. Model and folder are placeholders: records
// know a model by its hash, not by its path.
std::vector<std::string> commands_to_repeat(const Results & results);

// Valid UTF-8 on one line: other bytes become U+FFFD, control characters spaces.
std::string clean_text(std::string_view text);

// Everything the page needs, schema "kvtuner.report" version 1: the records as they are (without the figures per head), the
// memory table, speeds, errors by position, tasks, needles and the commands. Equal results give equal JSON.
nlohmann::ordered_json report_json(const Results & results, const std::string & tool_version);

}  // namespace kvt
