#include "kvt/cli/plan_diff.h"

#include <gtest/gtest.h>

#include "support/plans.h"

namespace kvt::cli {
namespace {

TEST(PlanDiff, ShowsTotalsAndTheLayersThatDiffer) {
    const NamedPlan a{"a.json", testing::example_plan()};
    NamedPlan       b = a;
    b.name            = "b.json";
    EXPECT_NE(diff_text(a, b)->find("0 of 4 layers differ\n"), std::string::npos);
    b.plan.layers[2].v = mode_format(Mode::per_token_asym, Side::value, 2, 64);
    b.plan.measured.clear();
    const auto text = diff_text(a, b);
    ASSERT_TRUE(text.ok());
    EXPECT_NE(text->find("a.json  per-token-asym          5.25            5.75          736  0.0021\n"), std::string::npos)
        << *text;
    EXPECT_NE(text->find("1 of 4 layers differ:\n"), std::string::npos) << *text;
    EXPECT_NE(text->find("2  int4.pt64  int4.pt64  int4.pt64  int2.pt64\n"), std::string::npos) << *text;

    const auto json = diff_json(a, b);
    ASSERT_TRUE(json.ok());
    EXPECT_EQ((*json)["layers"].size(), 1u);
    EXPECT_EQ((*json)["layers"][0]["v"][1], "int2.pt64");
    EXPECT_EQ((*json)["a"]["kld_mean"], 0.0021);
    EXPECT_TRUE((*json)["b"]["kld_mean"].is_null());
}

TEST(PlanDiff, RefusesPlansOfOtherLayers) {
    const NamedPlan a{"a", testing::example_plan()};
    NamedPlan       b{"b", testing::example_plan()};
    b.plan.layers.pop_back();
    ASSERT_FALSE(diff_text(a, b).ok());
    EXPECT_EQ(diff_json(a, b).error().message,
              "a has 4 layers with a cache and b has 3, or others: they are plans of different models");
}

}  // namespace
}  // namespace kvt::cli
