#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;

TEST(GgufKey, HoldsThePlanWithoutAClaimAboutTheFile) {
    const PrecisionPlan plan     = kvt::testing::example_plan();
    const auto          document = nlohmann::json::parse(text_of(plan, "gguf"));
    EXPECT_EQ(document["kvtuner.plan.schema_version"]["value"], 1);
    EXPECT_EQ(document["kvtuner.plan.k_bits"]["value"], (std::vector<int>{8, 8, 4, 4}));
    EXPECT_EQ(document["kvtuner.plan.v_bits"]["value"], (std::vector<int>{8, 4, 4, 2}));
    EXPECT_EQ(document["kvtuner.plan.layers"]["type"], "array:int32");
    const auto back = parse_plan(document["kvtuner.plan"]["value"].get<std::string>());
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->model.file_sha256, "") << "adding the key changes the file";
    EXPECT_EQ(back->layers, plan.layers);
}

TEST(GgufKey, TransformsHaveNoPlaceInMetadata) {
    EXPECT_EQ(error_of(kvt::testing::rotated_plan(), "gguf", raised()),
              "gguf: the transforms of this plan are in a second file, which metadata cannot hold");
}

}  // namespace
}  // namespace kvt::recipes
