// TensorRT-LLM, SGLang and ninfer-fusion: one type a layer, in lists of ranges.
#include <gtest/gtest.h>

#include "kvt/recipes/layer_ranges.h"
#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_plan;

// What stands between two double quotes.
std::string quoted_part(const std::string & text) {
    const size_t first = text.find('"');
    return first == std::string::npos ? "" : text.substr(first + 1, text.rfind('"') - first - 1);
}

TEST(TensorRtLlm, RunningExampleAndUniform) {
    const auto out = export_plan(example_plan(), "tensorrt-llm", raised());
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->text, "kv_cache_config:\n  dtype: \"0-1:fp8,2-3:nvfp4\"\n");
    EXPECT_EQ(out->notes.size(), 1u);
    EXPECT_EQ(text_of(plan_with({{8, 8}, {8, 8}}), "tensorrt-llm"), "kv_cache_config:\n  dtype: \"fp8\"\n");
    EXPECT_EQ(text_of(plan_with({{16, 16}, {4, 4}}), "tensorrt-llm"), "kv_cache_config:\n  dtype: \"0:bf16,1:nvfp4\"\n");
    EXPECT_EQ(error_of(example_plan(), "tensorrt-llm"),
              "tensorrt-llm: layer 1 (K8V4): no type of these bits (it has nvfp4, fp8, bf16); 2 of 4 layers are at fault; "
              "--approx=raise writes the next wider type and reports the loss");
}

TEST(TensorRtLlm, NamesEveryLayerWithEnoughBits) {
    SplitMix64 rng(11);
    for (int round = 0; round < 100; ++round) {
        const PrecisionPlan plan  = random_pairs(rng, {2, 3, 4, 5, 6, 8, 16}, 30);
        const auto          names = expand_ranges(quoted_part(text_of(plan, "tensorrt-llm", raised())), plan.model.n_layer);
        ASSERT_TRUE(names.ok()) << names.error().message;
        for (size_t i = 0; i < names->size(); ++i) {
            const int bits = std::max(plan.layers[i].k.bits, plan.layers[i].v.bits);
            EXPECT_EQ((*names)[i], bits > 8 ? "bf16" : bits > 4 ? "fp8" : "nvfp4");
        }
    }
}

TEST(TensorRtLlm, HybridModels) {
    EXPECT_NE(error_of(hybrid_plan({8, 8}, {4, 4}), "tensorrt-llm").find("--index=model, kv or full decides"), std::string::npos);
    ExportOptions options;
    options.index = IndexKind::model;
    EXPECT_EQ(text_of(hybrid_plan({8, 8}, {8, 8}), "tensorrt-llm", options), "kv_cache_config:\n  dtype: \"1:fp8,3:fp8\"\n");
    options.index = IndexKind::full;
    EXPECT_EQ(text_of(hybrid_plan({8, 8}, {4, 4}), "tensorrt-llm", options), "kv_cache_config:\n  dtype: \"0:fp8,1:nvfp4\"\n");
}

TEST(Sglang, BothDialects) {
    ExportOptions options = raised();
    EXPECT_EQ(text_of(example_plan(), "sglang", options),
              "--kv-cache-dtype fp4_e2m1 --kv-cache-per-layer-dtype \"0-1:fp8,2-3:fp4_e2m1\"\n");
    options.sglang_dialect = "15420";
    EXPECT_EQ(text_of(example_plan(), "sglang", options),
              "--kv-cache-dtype int4 --kv-cache-per-layer-dtype \"0-1:int8,2-3:int4\"\n");
    EXPECT_EQ(text_of(plan_with({{8, 8}, {8, 8}}), "sglang"), "--kv-cache-dtype fp8\n");
    EXPECT_EQ(export_plan(example_plan(), "sglang", raised())->notes.at(0),
              "no released SGLang reads the layer list (pull request 17530, closed)");
    options.sglang_dialect = "1";
    EXPECT_EQ(error_of(example_plan(), "sglang", options), "sglang: --sglang-dialect \"1\" is not 17530 or 15420");
    EXPECT_NE(error_of(example_plan(), "sglang").find("sglang: layer 1 (K8V4): no type of these bits"), std::string::npos);
}

TEST(Ninfer, RunningExampleAndItsOtherTypes) {
    ExportOptions options = raised();
    EXPECT_EQ(text_of(example_plan(), "ninfer", options), "--kv-dtype nvfp4 --kv-layer-storage 0-1:int8,2-3:nvfp4\n");
    options.ninfer_4bit = "iso4e";
    EXPECT_EQ(text_of(example_plan(), "ninfer", options), "--kv-dtype iso4e --kv-layer-storage 0-1:int8,2-3:iso4e\n");
    options.ninfer_4bit = "rk3v4";
    EXPECT_EQ(error_of(example_plan(), "ninfer", options), "ninfer: --ninfer-4bit \"rk3v4\" is not nvfp4, iso4e or rk4v4");
    EXPECT_EQ(text_of(plan_with({{8, 8}, {8, 8}}), "ninfer"), "--kv-dtype int8\n");
    EXPECT_NE(error_of(example_plan(), "ninfer").find("ninfer: layer 1 (K8V4)"), std::string::npos);
}

TEST(Ninfer, SlotsCountLayersWithFullAttention) {
    EXPECT_EQ(text_of(hybrid_plan({8, 8}, {4, 4}), "ninfer"), "--kv-dtype nvfp4 --kv-layer-storage 0:int8,1:nvfp4\n");
    PrecisionPlan mixed  = plan_with({{16, 16}, {8, 8}, {16, 16}, {4, 4}});
    mixed.layers[0].attn = Attention::sliding;
    mixed.layers[2].attn = Attention::sliding;
    EXPECT_EQ(text_of(mixed, "ninfer"), "--kv-dtype nvfp4 --kv-layer-storage 0:int8,1:nvfp4\n");
    mixed.layers[3].attn = Attention::sliding;
    EXPECT_EQ(error_of(mixed, "ninfer", raised()),
              "ninfer: layer 3 (KV4): a sliding-window layer has no number here; 1 of 4 layers is at fault");
    EXPECT_EQ(error_of(plan_with(std::vector<PairBits>(65, {8, 8})), "ninfer"),
              "ninfer: 65 layers with full attention, it has 64 slots");
}

TEST(RangeTargets, DropTransformsOnlyWithLeave) {
    const PrecisionPlan plan = kvt::testing::rotated_plan();
    for (const char * target : {"tensorrt-llm", "sglang", "ninfer", "vllm", "kvtuner-yaml"}) {
        EXPECT_EQ(error_of(plan, target),
                  std::string(target) +
                      ": layer 0 (K4V8): cannot hold transform \"dense4\" (dense), transform \"hadamard\" (hadamard), 1 "
                      "sink token at 16 bits; 4 of 4 layers are at fault; --approx=raise drops it and reports the loss");
        const auto out = export_plan(plan, target, raised());
        ASSERT_TRUE(out.ok()) << out.error().message;
        EXPECT_EQ(out->loss.dropped.size(), 3u);
        EXPECT_EQ(out->loss.worst(), LossClass::changed);
    }
}

}  // namespace
}  // namespace kvt::recipes
