#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_plan;

TEST(Loss, FiguresOfTheRunningExample) {
    const PrecisionPlan plan = example_plan();
    const auto          out  = export_plan(plan, "ik", raised());
    ASSERT_TRUE(out.ok());
    const auto json = loss_json(plan, out->loss);
    EXPECT_EQ(json["class"], "C");
    EXPECT_EQ(json["quality"], "not measured for this target");
    EXPECT_EQ(json["layers_changed"], 1);
    EXPECT_EQ(json["written_counts_scales"], true);
    EXPECT_FALSE(export_plan(plan, "vllm", raised())->loss.scales_counted);
    EXPECT_EQ(json["payload_bits"]["planned"], 5.25);
    EXPECT_EQ(json["payload_bits"]["written"], 5.5);
    EXPECT_EQ(json["bytes_per_token"]["planned"], 736);                               // tiles of int8.pt64 and the like
    EXPECT_EQ(json["bytes_per_token"]["written"], 2 * 64 * (3 * 8.5 + 5 * 4.5) / 8);  // q8_0 three times, q4_0 five times
    EXPECT_EQ(json["effective_bits"]["planned"], 5.75);
    EXPECT_EQ(json["effective_bits"]["written"], 6.0);
    EXPECT_EQ(json["layers"][3]["written"]["type"], "q4_0/q4_0");
    EXPECT_EQ(json["layers"][3]["v_bits_change"], 2);
    EXPECT_EQ(json["layers"][3]["class"], "C");
    EXPECT_EQ(json["layers"][0]["class"], "B");
}

TEST(Loss, NothingIsLostInOurOwnFormats) {
    const PrecisionPlan plan = example_plan(Mode::kivi);
    const auto          out  = export_plan(plan, "kvtuner-yaml", {});
    ASSERT_TRUE(out.ok());
    const LossTotals totals = loss_totals(plan, out->loss);
    EXPECT_EQ(totals.effective_planned, totals.effective_written);
    EXPECT_EQ(totals.layers_changed, 0);
    EXPECT_EQ(loss_json(plan, out->loss)["quality"], "as measured");
}

TEST(Loss, NoTargetEverLowersAnyBits) {
    SplitMix64    rng(21);
    ExportOptions options = raised(with_path());
    for (int round = 0; round < 60; ++round) {
        const PrecisionPlan plan = random_pairs(rng, {2, 3, 4, 5, 6, 8, 16}, 20);
        for (const Target & target : targets()) {
            const auto out = export_plan(plan, target.name, options);
            if (!out) {
                EXPECT_EQ(out.error().message.find('\n'), std::string::npos);
                EXPECT_EQ(out.error().message.find(target.name), 0u) << out.error().message;
                continue;
            }
            EXPECT_EQ(out->text.back(), '\n');
            for (const char c : out->text) ASSERT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << target.name;
            ASSERT_EQ(out->loss.layers.size(), plan.layers.size());
            for (size_t i = 0; i < plan.layers.size(); ++i) {
                EXPECT_GE(out->loss.layers[i].type.k_bits, plan.layers[i].k.bits) << target.name;
                EXPECT_GE(out->loss.layers[i].type.v_bits, plan.layers[i].v.bits) << target.name;
            }
            EXPECT_EQ(text_of(plan, target.name, options), out->text);
        }
    }
}

TEST(ExportPlan, UnknownTargetsAndEmptyPlans) {
    EXPECT_EQ(error_of(example_plan(), "vlm").substr(0, 63), "\"vlm\" is not an export target (known: kvtuner-yaml, kvtuner-yam");
    EXPECT_EQ(error_of(PrecisionPlan{}, "ik"), "ik: the plan has no layers");
}

}  // namespace
}  // namespace kvt::recipes
