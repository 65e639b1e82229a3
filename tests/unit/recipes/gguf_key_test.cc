#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/recipes/import.h"
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

// What a reader finds in a file that carries the exported keys.
GgufKeys keys_of(const PrecisionPlan & plan) {
    const auto document = nlohmann::json::parse(text_of(plan, "gguf"));
    const auto list     = [&](const char * key) { return document[key]["value"].get<std::vector<uint64_t>>(); };
    return {.schema_version = 1,
            .plan           = document["kvtuner.plan"]["value"].get<std::string>(),
            .layers         = list("kvtuner.plan.layers"),
            .k_bits         = list("kvtuner.plan.k_bits"),
            .v_bits         = list("kvtuner.plan.v_bits")};
}

std::string import_error(const GgufKeys & keys, const ModelInfo & model) {
    const auto imported = import_gguf_keys(keys, {.model = model});
    return imported.ok() ? "" : imported.error().message;
}

TEST(GgufKey, ComesBackAsThePlanForTheFileThatCarriesIt) {
    const PrecisionPlan plan    = kvt::testing::example_plan();
    ModelInfo           carrier = plan.model;
    carrier.file_sha256         = std::string(64, 'c');
    const auto back             = import_gguf_keys(keys_of(plan), {.model = carrier});
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->plan.layers, plan.layers);
    EXPECT_EQ(back->plan.provenance, plan.provenance);
    EXPECT_EQ(back->plan.model, carrier);
}

TEST(GgufKey, KeysThatCannotBeTrustedAreRefused) {
    const PrecisionPlan plan = kvt::testing::example_plan();
    const GgufKeys      good = keys_of(plan);
    EXPECT_EQ(import_error({}, plan.model), "it carries no plan (no key kvtuner.plan; kvtuner export --to gguf makes the keys)");
    GgufKeys keys       = good;
    keys.schema_version = 2;
    EXPECT_EQ(import_error(keys, plan.model), "kvtuner.plan.schema_version is 2, this kvtuner reads 1");
    keys           = good;
    keys.k_bits[2] = 8;
    EXPECT_EQ(import_error(keys, plan.model),
              "kvtuner.plan.k_bits[2] is 8, the plan in the same file says 4: export the plan again");
    keys = good;
    keys.v_bits.pop_back();
    EXPECT_EQ(import_error(keys, plan.model), "kvtuner.plan.v_bits has 3 entries, the plan in the same file has 4 layers");
    keys      = good;
    keys.plan = "{";
    EXPECT_EQ(import_error(keys, plan.model).substr(0, 18), "key kvtuner.plan: ");
    ModelInfo other = plan.model;
    other.n_layer   = 7;
    EXPECT_NE(import_error(good, other).find("the plan is for another model"), std::string::npos);
}

}  // namespace
}  // namespace kvt::recipes
