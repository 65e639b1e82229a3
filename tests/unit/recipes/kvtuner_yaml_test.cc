#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_model;
using kvt::testing::example_plan;

constexpr const char * kExample =
    "0:\n  nbits_key: 8\n  nbits_value: 8\n1:\n  nbits_key: 8\n  nbits_value: 4\n2:\n  nbits_key: 4\n  nbits_value: 4\n"
    "3:\n  nbits_key: 4\n  nbits_value: 2\n";

TEST(KvtunerYaml, TheRunningExample) {
    const auto out = export_plan(example_plan(), "kvtuner-yaml", {});
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->text, kExample);
    EXPECT_EQ(out->loss.worst(), LossClass::same);
    EXPECT_NE(out->notes.at(0).find("q_group_size=-1, residual_length=0"), std::string::npos);
    const auto kivi = export_plan(example_plan(Mode::kivi), "kvtuner-yaml", {});
    ASSERT_TRUE(kivi.ok());
    EXPECT_EQ(kivi->text, kExample);
    EXPECT_NE(kivi->notes.at(0).find("axis_key=1, axis_value=0, q_group_size=32, residual_length=32"), std::string::npos);
}

TEST(KvtunerYaml, AResidualWindowIsAnArgumentOfTheCall) {
    PrecisionPlan plan        = example_plan(Mode::kivi);
    plan.kept.residual_tokens = 96;
    const auto out            = export_plan(plan, "kvtuner-yaml", {});
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_NE(out->notes.at(0).find("residual_length=128"), std::string::npos);
}

TEST(KvtunerYaml, PerHeadRepeatsThePairOfTheLayer) {
    EXPECT_EQ(text_of(plan_with({{8, 4}, {4, 2}}), "kvtuner-yaml-per-head"),
              "0:\n  0: {nbits_key: 8, nbits_value: 4}\n  1: {nbits_key: 8, nbits_value: 4}\n"
              "1:\n  0: {nbits_key: 4, nbits_value: 2}\n  1: {nbits_key: 4, nbits_value: 2}\n");
}

TEST(KvtunerYaml, WhatItCannotExpress) {
    EXPECT_EQ(error_of(plan_with({{8, 8}, {16, 8}, {16, 16}}), "kvtuner-yaml", raised()),
              "kvtuner-yaml: layer 1 (K16V8): it has no 16-bit layers; 2 of 3 layers are at fault");
    EXPECT_EQ(
        error_of(plan_with({{8, 8}, {5, 8}}), "kvtuner-yaml"),
        "kvtuner-yaml: layer 1 (K5V8): no type of these bits (it has KV2, K2V4, K2V8, K4V2, KV4, K4V8, K8V2, K8V4, KV8); 1 of "
        "2 layers is at fault; --approx=raise writes the next wider type and reports the loss");
    EXPECT_EQ(written_bits(plan_with({{5, 3}, {6, 2}}), "kvtuner-yaml", raised()), (std::vector<PairBits>{{8, 4}, {8, 2}}));
    EXPECT_NE(error_of(hybrid_plan({8, 8}, {8, 8}), "kvtuner-yaml", raised()).find("layer 0 owns no cache"), std::string::npos);
    PrecisionPlan sinks    = example_plan();
    sinks.kept.sink_tokens = 2;
    EXPECT_EQ(
        error_of(sinks, "kvtuner-yaml"),
        "kvtuner-yaml: layer 0 (KV8): cannot hold 2 sink tokens at 16 bits; 4 of 4 layers are at fault; --approx=raise drops it "
        "and reports the loss");
    EXPECT_EQ(text_of(sinks, "kvtuner-yaml", raised()), kExample);
}

TEST(KvtunerYaml, EveryPairComesBackInEitherMode) {
    SplitMix64 rng(1);
    for (int round = 0; round < 50; ++round) {
        PrecisionPlan plan = random_pairs(rng, {2, 4, 8}, 40);
        if (round % 2 == 0) {
            std::vector<PairBits> pairs;
            for (const LayerPlan & layer : plan.layers) pairs.push_back({layer.k.bits, layer.v.bits});
            plan = plan_of(plan.model, Mode::kivi, pairs);
        }
        const char * target = round % 3 == 0 ? "kvtuner-yaml-per-head" : "kvtuner-yaml";
        const auto   back   = import_kvtuner_yaml(text_of(plan, target), "", {.model = plan.model, .mode = plan.mode});
        ASSERT_TRUE(back.ok()) << back.error().message;
        EXPECT_EQ(back->plan.layers, plan.layers);
        EXPECT_EQ(back->plan.mode, plan.mode);
        ASSERT_TRUE(parse_plan(write_plan(back->plan)).ok());
    }
}

TEST(ImportKvtunerYaml, ModeFromTheNameOrTheUser) {
    const ImportOptions options{.model = example_model()};
    const auto          kivi = import_kvtuner_yaml(kExample, "Model_kivi_KVTuner4_0.yaml", options);
    ASSERT_TRUE(kivi.ok()) << kivi.error().message;
    EXPECT_EQ(kivi->plan.layers, example_plan(Mode::kivi).layers);
    EXPECT_EQ(kivi->plan.provenance.method, "import:kvtuner-yaml");
    EXPECT_EQ(import_kvtuner_yaml(kExample, "Model_pertoken_KVTuner4_0.yaml", options)->plan.mode, Mode::per_token_asym);
    EXPECT_EQ(
        import_kvtuner_yaml(kExample, "x.yaml", options).error().message,
        "the file says nothing about the mode, and its name has neither _kivi_ nor _pertoken_: give --mode kivi or per-token");
}

TEST(ImportKvtunerYaml, FlowStyleAndAnyOrder) {
    const auto back = import_kvtuner_yaml("{1: {nbits_value: 4, nbits_key: 8}, 0: {nbits_key: 2, nbits_value: 8}}", "_kivi_",
                                          {.model = model_of(2)});
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->plan.layers[0].k.bits, 2);
    EXPECT_EQ(back->plan.layers[1].v.bits, 4);
}

TEST(ImportKvtunerYaml, HeadsThatDifferAreRefusedInWords) {
    const char * text =
        "0: {0: {nbits_key: 8, nbits_value: 8}, 1: {nbits_key: 8, nbits_value: 4}}\n"
        "1: {0: {nbits_key: 2, nbits_value: 8}, 1: {nbits_key: 4, nbits_value: 4}}\n";
    ImportOptions options{.model = model_of(2), .mode = Mode::kivi};
    EXPECT_EQ(import_kvtuner_yaml(text, "", options).error().message,
              "layer 0 gives its heads different bits (K8V4 and more); a plan has one pair per layer; --approx=raise takes the "
              "largest of each layer");
    options.approx  = Approx::raise;
    const auto back = import_kvtuner_yaml(text, "", options);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(pair_name(back->plan.layers[1].k.bits, back->plan.layers[1].v.bits), "K4V8");
    EXPECT_EQ(back->notes.at(0), "2 of 2 layers gave their heads different bits and got the largest");
    options.model.n_kv_heads = 3;
    EXPECT_EQ(import_kvtuner_yaml(text, "", options).error().message, "layer 0 lists 2 heads, the model \"m\" has 3 KV heads");
}

TEST(ImportKvtunerYaml, SaysWhatIsWrongAndWhere) {
    const struct {
        const char *text, *error;
    } cases[] = {
        {"0: {nbits_key: 8, nbits_value: 8}\n2: {nbits_key: 8, nbits_value: 8}\n",
         "layer 1 is missing: 2 are listed, so they must be 0 to 1"},
        {"0: {nbits_key: 8, nbits_value: 8}\n0: {nbits_key: 8, nbits_value: 8}\n", "line 2: \"0\" is given twice"},
        {"0: {nbits_key: 8, nbits_value: 3}\n", "line 1: layer 0: nbits_value is \"3\", not 2, 4 or 8"},
        {"0: {nbits_key: 8}\n", "line 1: layer 0: nbits_value is missing"},
        {"0: {nbits_key: 8, nbits_value: 8, axis: 1}\n", "line 1: layer 0: \"axis\" is unknown (known: nbits_key, nbits_value)"},
        {"0: 8\n", "line 1: layer 0: a map belongs here"},
        {"a: {nbits_key: 8, nbits_value: 8}\n", "line 1: \"a\" is not the number of a layer"},
        {"00: {nbits_key: 8, nbits_value: 8}\n", "line 1: \"00\" is not the number of a layer"},
        {"{}", "no layer is listed"},
        {"0: {nbits_key: 8, nbits_value: 8}\n1: {0: {nbits_key: 8, nbits_value: 8}}\n",
         "line 2: layer 1: some layers list heads and some do not"},
        {"0: {nbits_key: 8, nbits_value: 8}\n", "the recipe has 1 layers, the model \"example-4L\" has 4"},
    };
    for (const auto & c : cases) {
        const auto back = import_kvtuner_yaml(c.text, "_kivi_", {.model = example_model()});
        EXPECT_EQ(back.ok() ? "no error" : back.error().message, c.error) << c.text;
    }
}

TEST(ImportKvtunerYaml, AModelThatTheModeDoesNotFit) {
    ModelInfo narrow  = example_model();
    narrow.head_dim_v = 8;
    EXPECT_EQ(import_kvtuner_yaml(kExample, "_kivi_", {.model = narrow}).error().message,
              "layer 0 in mode kivi does not fit the model \"example-4L\": group 32 is outside of 1..8 (head_dim)");
}

}  // namespace
}  // namespace kvt::recipes
