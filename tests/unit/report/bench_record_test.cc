#include "kvt/report/bench_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/results.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;

std::string complaint(const nlohmann::ordered_json & json) {
    const auto read = parse_bench(json.dump());
    return read.ok() ? "" : read.error().message;
}

TEST(BenchRecord, ComesBackAsItWas) {
    const BenchRecord record = example_bench();
    const auto        json   = bench_json(record);
    const auto        read   = parse_bench(json.dump());
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(bench_json(*read).dump(), json.dump());
    EXPECT_EQ(read->rows[3].label, "tuned/plan.json");
    EXPECT_EQ(read->rows[3].depth, 4096);
    EXPECT_EQ(read->rows[3].generation.ratio, 1.75);
    EXPECT_EQ(read->rows[3].kv_bytes, 1234u);
}

TEST(BenchRecord, SaysWhatIsWrongAndWhere) {
    const auto good    = bench_json(example_bench());
    auto       version = good, unit = good, key = good, empty = good, depth = good;
    version["schema_version"]          = 2;
    unit["rows"][1]["prefill"]["unit"] = "s";
    key["rows"][0]["colour"]           = "red";
    empty["rows"]                      = nlohmann::ordered_json::array();
    depth["rows"][2]["depth"]          = -1;
    EXPECT_THAT(complaint(version), HasSubstr("/schema_version: "));
    EXPECT_THAT(complaint(unit), HasSubstr("/rows/1/prefill/unit: "));
    EXPECT_THAT(complaint(key), HasSubstr("/rows/0/colour: "));
    EXPECT_THAT(complaint(empty), HasSubstr("/rows: must hold at least one row"));
    EXPECT_THAT(complaint(depth), HasSubstr("/rows/2/depth: "));
    EXPECT_FALSE(parse_bench("{").ok());
}

}  // namespace
}  // namespace kvt::testing
