#include "kvt/report/bench_record.h"

#include <fmt/format.h>

#include "kvt/plan/json_reader.h"

namespace kvt {

namespace {

using nlohmann::ordered_json;

constexpr size_t           kMaxBytes = size_t{16} << 20;
constexpr int              kMaxDepth = 6;
constexpr int              kMaxCount = 1 << 30;
constexpr std::string_view kSchema   = "kvtuner.bench";
constexpr std::string_view kUnit     = "tokens/s";

ordered_json speed_json(const Speed & s) {
    return {{"unit", kUnit}, {"median", s.median}, {"min", s.min}, {"max", s.max}, {"ratio_to_f16", s.ratio}};
}

Speed read_speed(ObjectReader o) {
    (void)o.choice("unit", {kUnit});
    const Speed s{o.number("median"), o.number("min"), o.number("max"), o.number("ratio_to_f16")};
    o.refuse_other_keys();
    return s;
}

BenchRow read_row(ObjectReader o) {
    BenchRow row;
    row.label      = o.text("plan");
    row.depth      = static_cast<int>(o.integer("depth", 0, kMaxCount));
    row.kv_bytes   = o.unsigned64("kv_bytes");
    row.prefill    = read_speed(o.object("prefill"));
    row.generation = read_speed(o.object("generation"));
    o.refuse_other_keys();
    return row;
}

}  // namespace

ordered_json bench_json(const BenchRecord & r) {
    ordered_json out{{"schema", kSchema},
                     {"schema_version", 1},
                     {"model", r.model},
                     {"file_sha256", r.file_sha256},
                     {"processor", r.processor},
                     {"threads", r.n_threads},
                     {"repetitions", r.repetitions},
                     {"prefill_tokens", r.prefill_tokens},
                     {"generate_tokens", r.generate_tokens},
                     {"rows", ordered_json::array()}};
    for (const BenchRow & row : r.rows) {
        out["rows"].push_back({{"plan", row.label},
                               {"depth", row.depth},
                               {"kv_bytes", row.kv_bytes},
                               {"prefill", speed_json(row.prefill)},
                               {"generation", speed_json(row.generation)}});
    }
    return out;
}

Result<BenchRecord> parse_bench(std::string_view json_text) {
    KVT_TRY(const nlohmann::json document, parse_strict_json(json_text, kMaxBytes, kMaxDepth));
    Complaint    complaint;
    ObjectReader o(document, "", complaint);
    BenchRecord  r;
    (void)o.choice("schema", {kSchema});
    (void)o.integer("schema_version", 1, 1);
    r.model           = o.text("model");
    r.file_sha256     = o.sha256("file_sha256", true);
    r.processor       = o.text("processor");
    r.n_threads       = static_cast<int>(o.integer("threads", 0, kMaxCount));
    r.repetitions     = static_cast<int>(o.integer("repetitions", 1, kMaxCount));
    r.prefill_tokens  = static_cast<int>(o.integer("prefill_tokens", 1, kMaxCount));
    r.generate_tokens = static_cast<int>(o.integer("generate_tokens", 1, kMaxCount));
    size_t i          = 0;
    for (const nlohmann::json & row : o.array("rows"))
        r.rows.push_back(read_row(ObjectReader(row, fmt::format("/rows/{}", i++), complaint)));
    if (r.rows.empty()) o.complain("rows", "must hold at least one row");
    o.refuse_other_keys();
    if (!complaint.empty()) return Error{complaint.text()};
    return r;
}

}  // namespace kvt
