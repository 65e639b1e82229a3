#include "kvt/cli/plan_text.h"

#include <gtest/gtest.h>

#include "support/plans.h"

namespace kvt::cli {
namespace {

TEST(PlanText, CellsAreRoundedAsLlamaCppRoundsThem) {
    EXPECT_EQ(cells_per_sequence({1, 1}), 256u);
    EXPECT_EQ(cells_per_sequence({256, 1}), 256u);
    EXPECT_EQ(cells_per_sequence({1000, 1}), 1024u);
    EXPECT_EQ(cells_per_sequence({4096, 4}), 1024u);
    EXPECT_EQ(cells_per_sequence({4096, 3}), 1536u);  // 1365 rounded up
}

TEST(PlanText, BitsHaveNoTrailingZeros) {
    EXPECT_EQ(bits_text(4), "4");
    EXPECT_EQ(bits_text(4.25), "4.25");
    EXPECT_EQ(bits_text(16), "16");
    EXPECT_EQ(bits_text(10), "10");
    EXPECT_EQ(bits_text(5.98437), "5.984");
}

TEST(PlanText, ShowsSizesBitsAndLayers) {
    const std::string text = plan_text(testing::example_plan(), {4096, 1});
    EXPECT_NE(text.find("example-4L (llama, 4 layers, 2 KV heads, head_dim 64)"), std::string::npos) << text;
    EXPECT_NE(text.find("payload bits    5.25 "), std::string::npos);
    EXPECT_NE(text.find("effective bits  5.75 "), std::string::npos);
    EXPECT_NE(text.find("KV buffer size =     2.88 MiB"), std::string::npos);  // 23552 bytes * 128 blocks
    EXPECT_NE(text.find("kld_mean 0.0021 nat (95 %: 0.0018 .. 0.0024), floor 1e-07"), std::string::npos);
    EXPECT_NE(text.find("    3  int4.pt64  int2.pt64   294912   163840\n"), std::string::npos);
}

TEST(PlanText, AFigureThatIsNotAboveItsFloorSaysSo) {
    PrecisionPlan plan     = testing::example_plan();
    plan.measured[0].floor = 0.003;
    EXPECT_NE(plan_text(plan, {}).find("kld_mean at floor (0.003 nat)"), std::string::npos);
}

TEST(PlanText, JsonHasTheSameFigures) {
    const auto json = plan_json(testing::example_plan(Mode::kivi), {8192, 2});
    EXPECT_EQ(json["cells_per_sequence"], 4096);
    EXPECT_EQ(json["bytes"], plan_size(testing::example_plan(Mode::kivi), 4096, 2).bytes);
    uint64_t sum = 0;
    for (const auto & layer : json["layers"]) sum += layer["k_bytes"].get<uint64_t>() + layer["v_bytes"].get<uint64_t>();
    EXPECT_EQ(sum, json["bytes"]);
    EXPECT_EQ(json["measured"].size(), 1u);
}

}  // namespace
}  // namespace kvt::cli
