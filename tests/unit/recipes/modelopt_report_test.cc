#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_model;
using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Scores are invented.
json report() {
    return json::parse(R"({"schema_version": 1, "method": "kl_div", "cost_model": "kv_cache",
     "candidates": [
      {"name": "FP8", "effective_bits": 8.0, "k_bits": 8, "v_bits": 8, "config": {}},
      {"name": "FP8_K_NVFP4_V", "effective_bits": 6.25, "k_bits": 8, "v_bits": 4.5, "config": {}},
      {"name": "NVFP4", "effective_bits": 4.5, "k_bits": 4.5, "v_bits": 4.5, "config": {}}],
     "layers": {
      "model.layers.0.self_attn": {"k_width": 128, "v_width": 128, "selected": "FP8", "scores": {"FP8": 0.002, "NVFP4": 0.030}},
      "model.layers.1.self_attn": {"k_width": 128, "v_width": 128, "selected": "FP8_K_NVFP4_V", "scores": {"FP8_K_NVFP4_V": 0.002}},
      "model.layers.2.self_attn": {"k_width": 128, "v_width": 128, "selected": "NVFP4", "scores": {"FP8": 0.001, "NVFP4": 0.004}},
      "model.layers.3.self_attn": {"k_width": 128, "v_width": 128, "selected": "NVFP4", "scores": {"FP8": 0.001, "NVFP4": 0.003}}},
     "best": {"recipe": {}, "constraints": {"effective_bits": 6.25}, "score": 0.011, "is_satisfied": true}})");
}

Result<Imported> imported(const json & document) {
    return import_modelopt(
        document.dump(), {.model = example_model(), .mode = Mode::per_token_asym, .approx = Approx::refuse, .map_foreign = true});
}

TEST(ModelOptReport, SelectedTypesBecomeAPlan) {
    const auto back = imported(report());
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(payload_bits(back->plan), 5.5);
    EXPECT_EQ(back->plan.provenance.method, "import:modelopt-report");
    EXPECT_TRUE(back->plan.measured.empty());
    EXPECT_THAT(back->notes, Contains("effective bits of the report, recomputed: 5.8125"));
    EXPECT_THAT(back->notes, Not(Contains(HasSubstr("states"))));
}

TEST(ModelOptReport, FiguresThatDisagreeAreSaidWithBoth) {
    json document                                     = report();
    document["best"]["score"]                         = 0.012;
    document["best"]["constraints"]["effective_bits"] = 5;
    const auto back                                   = imported(document);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_THAT(back->notes, Contains("the report states a score of 0.012, its layers add up to 0.011"));
    EXPECT_THAT(back->notes, Contains("the report states a limit of 5 bits, its layers take 5.8125"));
}

TEST(ModelOptReport, WidthsWeighTheBits) {
    json document                                             = report();
    document["layers"]["model.layers.1.self_attn"]["v_width"] = 384;
    EXPECT_THAT(imported(document)->notes, Contains(HasSubstr("recomputed: 5.55")));  // (1488 * 4 + 256 * 4.5) / 1280
}

TEST(ModelOptReport, LayersNotSearchedStayAt16Bits) {
    json document = report();
    document["layers"].erase("model.layers.3.self_attn");
    const auto back = imported(document);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->plan.layers[3].k, f16_format());
    EXPECT_THAT(back->notes, Contains("1 layers were not searched there and stay at 16 bits"));
}

TEST(ModelOptReport, SaysWhatIsWrong) {
    json document              = report();
    document["schema_version"] = 2;
    EXPECT_EQ(imported(document).error().message, "/schema_version: 2, this kvtuner reads version 1");
    document                                                   = report();
    document["layers"]["model.layers.1.self_attn"]["selected"] = "INT4";
    EXPECT_EQ(imported(document).error().message,
              "/layers/model.layers.1.self_attn: \"INT4\" is not FP8, NVFP4 or FP8_K_NVFP4_V");
    document = report();
    document["candidates"].erase(2);
    EXPECT_EQ(imported(document).error().message,
              "/layers/model.layers.2.self_attn/selected: \"NVFP4\" is not among the candidates");
    document                                                  = report();
    document["layers"]["model.layers.0.self_attn"]["k_width"] = 0;
    EXPECT_EQ(imported(document).error().message, "/layers/model.layers.0.self_attn: expected k_width and v_width above 0");
    document               = report();
    document["candidates"] = 3;
    EXPECT_EQ(imported(document).error().message, "/candidates: expected a list, found 3");
}

}  // namespace
}  // namespace kvt::recipes
