#include <gtest/gtest.h>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_plan;

TEST(LlamaCpp, ShellLinesThatRunThePlan) {
    ExportOptions options;
    options.plan_path   = "out/plan.json";
    options.plugin_path = "/opt/kv tuner/lib'x.so";
    options.model_path  = "model.gguf";
    const auto out      = export_plan(example_plan(), "llama-cpp", options);
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->text,
              "export GGML_BACKEND_PATH='/opt/kv tuner/lib'\\''x.so'\nexport KVT_PLAN=out/plan.json\n"
              "llama-server -m model.gguf --device KVT0\n");
    EXPECT_EQ(out->loss.worst(), LossClass::same);
    EXPECT_EQ(error_of(example_plan(), "llama-cpp"), "llama-cpp: needs a plan file (kvtuner plan make writes one)");
}

TEST(LlamaCppStock, UniformPlansOnly) {
    EXPECT_EQ(text_of(plan_with({{8, 4}, {8, 4}}), "llama-cpp-stock"), "-ctk q8_0 -ctv q4_0 -fa on\n");
    EXPECT_EQ(text_of(plan_with({{8, 16}}), "llama-cpp-stock"), "-ctk q8_0 -ctv f16\n");
    EXPECT_EQ(text_of(plan_with({{6, 2}}), "llama-cpp-stock", raised()), "-ctk q8_0 -ctv q4_0 -fa on\n");
    EXPECT_NE(error_of(plan_with({{6, 2}}), "llama-cpp-stock").find("layer 0 (K6V2): no type of these bits"), std::string::npos);
    EXPECT_EQ(
        error_of(example_plan(), "llama-cpp-stock", raised()),
        "llama-cpp-stock: layer 1 (K8V4): it has one type for K and one for V of all layers, and layer 0 has KV8; 3 of 4 layers "
        "are at fault; the target llama-cpp runs the plan as it is");
    PrecisionPlan narrow    = plan_with({{8, 8}});
    narrow.model.head_dim_v = 80;
    EXPECT_EQ(error_of(narrow, "llama-cpp-stock"), "llama-cpp-stock: its types hold blocks of 32 values, and head_dim is 80");
}

}  // namespace
}  // namespace kvt::recipes
