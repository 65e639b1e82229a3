#include "kvt/report/report_data.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/results.h"

namespace kvt::testing {
namespace {

TEST(MemoryByContext, BytesOfThePlanLibraryAndOfStockTypes) {
    const PrecisionPlan plan = example_plan();
    const auto          rows = memory_by_context(plan);
    ASSERT_EQ(rows.size(), 8u);
    EXPECT_EQ(rows[0].cells, 1024u);
    EXPECT_EQ(rows[7].cells, 131072u);
    for (const MemoryRow & row : rows) {
        EXPECT_EQ(row.plan, plan_size(plan, row.cells).bytes);
        // 4 layers, K and V, 2 heads of 64: 1024 elements a token.
        EXPECT_EQ(row.f16, row.cells * 1024 * 2);
        EXPECT_EQ(8 * row.q8_0 * 2, row.cells * 1024 * 17);
        EXPECT_EQ(8 * row.q4_0 * 2, row.cells * 1024 * 9);
    }
}

TEST(MemoryByContext, NoFurtherThanTheCalibration) {
    const auto rows = memory_by_context(rotated_plan());  // 32768 positions
    EXPECT_EQ(rows.back().cells, 32768u);
}

TEST(Commands, HoldEverySettingOfTheRecords) {
    const auto commands = commands_to_repeat(example_results());
    EXPECT_EQ(commands[1], "kvtuner tune -m model.gguf -o tuned --mode per-token-asym -c 512 --chunks 8 --check-chunks 12");
    EXPECT_EQ(commands_to_repeat(paper_results())[1],
              "kvtuner tune -m model.gguf -o tuned --method paper --mode per-token-asym -c 512 --chunks 8 --population 16 "
              "--generations 2 --seed 7 --prompts 20 --generate 32 --check-chunks 12");
    EXPECT_EQ(commands[4], "kvtuner eval kld -m model.gguf --plan tuned/plan.json -c 512 --chunks 12");
}

TEST(Commands, RepeatTheBench) {
    Results r              = example_results();
    r.bench                = example_bench();
    r.bench->rows[1].label = "my plan.json";
    EXPECT_EQ(commands_to_repeat(r)[5],
              "kvtuner bench -m model.gguf --plan 'my plan.json' --depth 0,4096 --reps 3 -o tuned/bench.json");
    EXPECT_EQ(report_json(r, "1.2.3").at("bench"), bench_json(*r.bench));
}

TEST(CleanText, OneLineOfUtf8) {
    EXPECT_EQ(clean_text("plain \xc3\xa9"), "plain \xc3\xa9");
    EXPECT_EQ(clean_text("a\nb\tc"), "a b c");
    EXPECT_EQ(clean_text("bad \xff byte"), "bad \xef\xbf\xbd byte");
}

TEST(ReportJson, HoldsTheRecordsAsTheyAre) {
    const Results r = example_results();
    const auto    j = report_json(r, "1.2.3");
    EXPECT_EQ(j.at("study"), nlohmann::ordered_json::parse(write_record(r.study)));
    EXPECT_EQ(j.at("held_out"), nlohmann::ordered_json::parse(write_record(*r.held_out)));
    EXPECT_EQ(j.at("study").at("evaluations").at(1).at("kld").get<double>(), 0.0041234567890123);
    EXPECT_TRUE(j.at("held_out").at("plans").at(1).at("p999").is_null());
    EXPECT_EQ(j.at("chosen"), 3);
    EXPECT_EQ(j.at("chosen_pairs").at(1), nlohmann::ordered_json({8, 4}));
    EXPECT_EQ(j.at("formats").at(3).at("v"), "int2.pt64");
    EXPECT_EQ(j.at("plan_tool_version"), "0.1.0");
    EXPECT_EQ(j.at("tool_version"), "1.2.3");
    EXPECT_EQ(j.dump(), report_json(r, "1.2.3").dump());
}

TEST(ReportJson, SensitivityWithoutTheFiguresPerHead) {
    const auto   j     = report_json(paper_results(), "1.2.3");
    const auto & layer = j.at("sensitivity").at("layers").at(1);
    EXPECT_FALSE(layer.contains("e_o_head"));
    EXPECT_FALSE(layer.contains("e_k_head"));
    EXPECT_DOUBLE_EQ(layer.at("e_o").at(2).get<double>(), 0.06);
    EXPECT_EQ(j.at("study").at("groups").at(1).at("layers"), nlohmann::ordered_json({2, 3}));
    EXPECT_EQ(j.at("candidates").at("layers").at(0).at("pairs").at(1), "KV4");
}

TEST(ReportJson, WhatIsNotThereIsNull) {
    Results r = example_results();
    r.plan.reset();
    r.held_out.reset();
    r.chosen     = -1;
    const auto j = report_json(r, "1.2.3");
    EXPECT_TRUE(j.at("held_out").is_null());
    EXPECT_TRUE(j.at("formats").is_null());
    EXPECT_TRUE(j.at("memory").empty());
    EXPECT_TRUE(j.at("chosen_pairs").empty());
}

}  // namespace
}  // namespace kvt::testing
