#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using nlohmann::json;

TEST(Vllm, OneTypeAndAListOf16BitLayers) {
    const PrecisionPlan plan = plan_with({{16, 16}, {8, 8}, {8, 8}, {16, 16}});
    EXPECT_EQ(text_of(plan, "vllm"), "--kv-cache-dtype int8_per_token_head --kv-cache-dtype-skip-layers 0 3\n");
    EXPECT_EQ(json::parse(text_of(plan, "vllm-json")),
              json::parse(R"({"kv_cache_dtype": "int8_per_token_head", "kv_cache_dtype_skip_layers": ["0", "3"]})"));
    EXPECT_EQ(text_of(plan_with({{4, 4}, {4, 4}}), "vllm"), "--kv-cache-dtype int4_per_token_head\n");
    const auto split = export_plan(plan_with({{8, 4}}), "vllm", {});
    ASSERT_TRUE(split.ok());
    EXPECT_EQ(split->text, "--kv-cache-dtype turboquant_k8v4\n");
    EXPECT_NE(split->notes.back().find("skip list of TurboQuant"), std::string::npos);
    EXPECT_EQ(split->loss.worst(), LossClass::substituted);
}

TEST(Vllm, TheUserMayNameTheType) {
    ExportOptions options;
    options.vllm_dtype = "fp8";
    EXPECT_EQ(text_of(plan_with({{8, 8}}), "vllm", options), "--kv-cache-dtype fp8\n");
    options.vllm_dtype = "nvfp4";
    EXPECT_EQ(error_of(plan_with({{8, 8}}), "vllm", options), "vllm: nvfp4 holds fewer bits than the KV8 that the plan needs");
    options.vllm_dtype = "turboquant_3bit_nc";
    EXPECT_EQ(text_of(plan_with({{3, 3}}), "vllm", options), "--kv-cache-dtype turboquant_3bit_nc\n");
    options.vllm_dtype = "int3";
    EXPECT_EQ(error_of(plan_with({{8, 8}}), "vllm", options).substr(0, 37), "vllm: --vllm-dtype \"int3\" is unknown ");
}

TEST(Vllm, ASecondPairIsRefusedOrRaised) {
    const PrecisionPlan plan = kvt::testing::example_plan();
    EXPECT_EQ(error_of(plan, "vllm"),
              "vllm: layer 1 (K8V4): it has one type beside 16 bits, and another layer needs KV8; 3 of 4 layers are at fault; "
              "--approx=raise writes one type that covers all and reports the loss");
    EXPECT_EQ(text_of(plan, "vllm", raised()), "--kv-cache-dtype int8_per_token_head\n");
    EXPECT_EQ(text_of(plan_with({{4, 2}, {8, 4}, {16, 8}}), "vllm", raised()),
              "--kv-cache-dtype turboquant_k8v4 --kv-cache-dtype-skip-layers 2\n");
    EXPECT_NE(error_of(plan_with({{2, 2}}), "vllm").find("layer 0 (KV2): no type of these bits"), std::string::npos);
    EXPECT_EQ(error_of(plan_with({{16, 16}}), "vllm"), "vllm: every layer is written as 16 bits, so there is nothing to export");
}

TEST(Vllm, LayerNumbersThatAreNotSettled) {
    const PrecisionPlan plan = hybrid_plan({16, 16}, {8, 8});
    EXPECT_EQ(
        error_of(plan, "vllm"),
        "vllm: what its layer numbers count is not settled, and here it matters (4 model layers, 2 with a cache, 2 of these with "
        "full attention); --index=model, kv or full decides");
    ExportOptions options;
    options.index = IndexKind::model;
    EXPECT_EQ(text_of(plan, "vllm", options), "--kv-cache-dtype int8_per_token_head --kv-cache-dtype-skip-layers 1\n");
    options.index = IndexKind::kv;
    EXPECT_EQ(text_of(plan, "vllm", options), "--kv-cache-dtype int8_per_token_head --kv-cache-dtype-skip-layers 0\n");
}

TEST(Vllm, FlagsExpandToWhatThePlanNeeds) {
    SplitMix64 rng(3);
    for (int round = 0; round < 200; ++round) {
        const PrecisionPlan plan = random_pairs(rng, {2, 4, 8, 16}, 12);
        const auto          out  = export_plan(plan, "vllm-json", raised());
        if (!out) continue;  // all 16 bits
        std::vector<bool> skipped(plan.layers.size(), false);
        const json        document = json::parse(out->text);
        int               last     = -1;
        for (const auto & text : document["kv_cache_dtype_skip_layers"]) {
            const int layer = std::stoi(text.get<std::string>());
            ASSERT_GT(layer, last);
            ASSERT_LT(layer, static_cast<int>(plan.layers.size()));
            skipped[static_cast<size_t>(layer)] = true;
            last                                = layer;
        }
        for (size_t i = 0; i < plan.layers.size(); ++i) {
            const TargetType & type = out->loss.layers[i].type;
            EXPECT_EQ(skipped[i], type.k_bits == 16);
            EXPECT_GE(type.k_bits, plan.layers[i].k.bits);
            EXPECT_GE(type.v_bits, plan.layers[i].v.bits);
        }
    }
}

}  // namespace
}  // namespace kvt::recipes
