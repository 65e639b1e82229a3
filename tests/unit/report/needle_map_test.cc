#include "kvt/report/needle_map.h"

#include <gtest/gtest.h>

#include "support/task_records.h"

namespace kvt::testing {
namespace {

std::vector<NeedleMap> maps_of(const std::vector<TaskRecord> & records) { return needle_maps(*task_runs(records, "tuned")); }

// needle_record() with all items at one length.
TaskRecord at_length(int length, const std::string & plan, const std::vector<double> & scores, bool stock = false) {
    TaskRecord record = needle_record(plan, scores, stock);
    for (ItemLine & line : record.lines) line.groups["length"] = std::to_string(length);
    record.header["prompts_sha256"] = std::to_string(length);
    return record;
}

TEST(NeedleMaps, CellsOfEveryPlanBesideTheReference) {
    const auto maps = maps_of({needle_record("f16 (stock)", {1, 1, 1, 0, 1, 1}, true), needle_record("KV2", {1, 1, 0, 1, 1, 0})});
    ASSERT_EQ(maps.size(), 1u);
    ASSERT_EQ(maps[0].plans.size(), 2u);
    const auto &own = maps[0].plans[0].cells, &cells = maps[0].plans[1].cells;
    ASSERT_EQ(cells.size(), 6u);
    EXPECT_EQ(own[0].reference, std::nullopt);
    EXPECT_EQ(cells[1].found.length, 4096);
    EXPECT_EQ(cells[1].found.depth, 10);
    EXPECT_EQ(cells[1].found.mean, 0);
    EXPECT_EQ(cells[1].reference, 1);
    EXPECT_TRUE(cells[1].informative);
    EXPECT_EQ(cells[4].found.length, 8192);
    EXPECT_FALSE(cells[4].informative) << "the reference finds none there";
    EXPECT_FALSE(own[4].informative);
    EXPECT_EQ(needle_maps_json(maps)[0]["plans"][1]["cells"][1].dump(),
              R"({"length":4096,"depth":10,"n":1,"mean":0.0,"reference":1.0,"informative":true})");
}

TEST(NeedleMaps, RunsOfOtherLengthsShareAMapAndTheSameLengthDoesNot) {
    TaskRecord again     = at_length(4096, "KV2", {0, 0});
    again.header["seed"] = 8;
    const auto maps      = maps_of({at_length(8192, "KV2", {1, 0}), at_length(4096, "KV2", {1, 1}), again});
    ASSERT_EQ(maps.size(), 2u);
    ASSERT_EQ(maps[0].plans.size(), 1u);
    ASSERT_EQ(maps[0].plans[0].cells.size(), 2u);
    EXPECT_EQ(maps[0].plans[0].cells[0].found.length, 4096) << "by length";
    EXPECT_EQ(maps[0].plans[0].cells[1].found.length, 8192);
    EXPECT_EQ(maps[1].plans[0].cells[0].found.mean, 0);
}

TEST(NeedleMaps, NoneWithoutDepthsOrWhileUnfinished) {
    EXPECT_TRUE(maps_of({task_record("KV4", {1, 0})}).empty());
    TaskRecord open = needle_record("KV4", {1, 0});
    open.summary    = nullptr;
    EXPECT_TRUE(maps_of({open}).empty());
}

}  // namespace
}  // namespace kvt::testing
