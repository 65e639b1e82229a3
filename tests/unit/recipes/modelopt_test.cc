#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/recipes/modelopt_map.h"
#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_model;
using kvt::testing::example_plan;
using nlohmann::json;

constexpr const char * kMap = R"({
  "producer": {"name": "kvtuner", "version": "0.1.0"},
  "quantization": {
    "quant_algo": null, "quantized_layers": {}, "exclude_modules": [],
    "kv_cache_quant_algo": "MIXED_PRECISION",
    "kv_cache_quantized_layers": {
      "model.layers.0.self_attn": {"quant_algo": "FP8"},
      "model.layers.1.self_attn": {"quant_algo": "FP8_K_NVFP4_V"},
      "model.layers.2.self_attn": {"quant_algo": "NVFP4"},
      "model.layers.3.self_attn": {"quant_algo": "NVFP4"}
    },
    "kv_cache_schema_version": 1
  }
})";

ImportOptions foreign(const ModelInfo & model) {
    return {.model = model, .mode = Mode::per_token_asym, .approx = Approx::refuse, .map_foreign = true};
}

TEST(ModelOpt, TheRunningExampleInItsThreeForms) {
    ExportOptions options = raised(with_path());
    EXPECT_EQ(json::parse(text_of(example_plan(), "modelopt", options)), json::parse(kMap));

    options.modelopt_form               = "draft";
    json draft                          = json::parse(kMap);
    draft["quantization"]["quant_algo"] = "MIXED_PRECISION";
    EXPECT_EQ(json::parse(text_of(example_plan(), "modelopt", options)), draft);

    options.modelopt_form = "config";
    const json part       = json::parse(text_of(example_plan(), "modelopt", options))["quantization_config"];
    EXPECT_EQ(part["quant_method"], "modelopt");
    EXPECT_EQ(part["ignore"], json::array());
    EXPECT_EQ(part["kv_cache_quantized_layers"], json::parse(kMap)["quantization"]["kv_cache_quantized_layers"]);
    EXPECT_FALSE(part.contains("quant_algo"));
    EXPECT_FALSE(part.contains("kv_cache_scheme"));

    options.modelopt_form = "yaml";
    EXPECT_EQ(error_of(example_plan(), "modelopt", options), "modelopt: --modelopt-form \"yaml\" is not hf, config or draft");
}

TEST(ModelOpt, GoldenTextOfUniformFp8InConfigJson) {
    ExportOptions options = with_path();
    options.modelopt_form = "config";
    EXPECT_EQ(text_of(plan_with({{8, 8}}), "modelopt", options), R"({
  "quantization_config": {
    "quant_method": "modelopt",
    "ignore": [],
    "kv_cache_quant_algo": "FP8",
    "kv_cache_schema_version": 1,
    "kv_cache_quantized_layers": {
      "model.layers.0.self_attn": {
        "quant_algo": "FP8"
      }
    },
    "kv_cache_scheme": {
      "dynamic": false,
      "num_bits": 8,
      "type": "float"
    }
  }
}
)");
}

TEST(ModelOpt, TheSummaryIsTheCommonNameOnlyIfEveryLayerIsListed) {
    const auto summary = [](const PrecisionPlan & plan) {
        return json::parse(text_of(plan, "modelopt", raised(with_path())))["quantization"]["kv_cache_quant_algo"];
    };
    EXPECT_EQ(summary(plan_with({{8, 8}, {8, 8}})), "FP8");
    EXPECT_EQ(summary(plan_with({{4, 4}, {4, 4}})), "NVFP4");
    EXPECT_EQ(summary(plan_with({{8, 4}, {8, 4}})), "FP8_K_NVFP4_V");
    EXPECT_EQ(summary(plan_with({{8, 8}, {4, 4}})), "MIXED_PRECISION");
    EXPECT_EQ(summary(plan_with({{8, 8}, {16, 16}})), "MIXED_PRECISION");
}

TEST(ModelOpt, MapsAsTheTableSays) {
    const PrecisionPlan plan = plan_with({{16, 16}, {4, 8}, {8, 2}, {4, 2}, {2, 4}, {2, 2}, {2, 8}, {16, 4}, {5, 5}, {6, 3}});
    EXPECT_EQ(written_bits(plan, "modelopt", raised(with_path())),
              (std::vector<PairBits>{{16, 16}, {8, 8}, {8, 4}, {4, 4}, {4, 4}, {4, 4}, {8, 8}, {16, 16}, {8, 8}, {8, 4}}));
    PrecisionPlan unequal    = plan_with({{8, 4}});
    unequal.model.head_dim_v = 128;
    EXPECT_EQ(written_bits(unequal, "modelopt", raised(with_path())), (std::vector<PairBits>{{8, 8}}));
    EXPECT_EQ(written_bits(plan_with({{8, 4}}), "vllm-layerwise", raised(with_path())), (std::vector<PairBits>{{8, 8}}));
}

TEST(ModelOpt, WhatItCannotExpress) {
    EXPECT_EQ(
        error_of(example_plan(), "modelopt", with_path()),
        "modelopt: layer 3 (K4V2): no type of these bits (it has NVFP4, FP8_K_NVFP4_V, FP8, 16 bits); 1 of 4 layers is at fault; "
        "--approx=raise writes the next wider type and reports the loss");
    EXPECT_EQ(error_of(plan_with({{8, 8}, {8, 4}}), "vllm-layerwise", with_path()),
              "vllm-layerwise: layer 1 (K8V4): no type of these bits (it has NVFP4, FP8, 16 bits); 1 of 2 layers is at fault; "
              "--approx=raise writes the next wider type and reports the loss");
    EXPECT_EQ(error_of(plan_with({{16, 16}}), "modelopt", with_path()),
              "modelopt: every layer is written as 16 bits, so there is nothing to export");
    EXPECT_NE(error_of(plan_with({{8, 8}}), "modelopt").find("give --hf-attn-path"), std::string::npos);
    for (const char * bad : {"model.layers.0.self_attn", "layers.{i}", "model.layers.{i}.a.b", "model.layers.{i}.{i}", "{i}",
                             "model.{i}.layers.{i}.x", "a b.layers.{i}.x"}) {
        ExportOptions options;
        options.hf_attn_path = bad;
        EXPECT_NE(error_of(plan_with({{8, 8}}), "modelopt", options).find("is not <names>.layers.{i}.<name>"), std::string::npos)
            << bad;
    }
}

TEST(ModelOpt, PathsOfEveryKindOfModelComeBack) {
    for (const char * path :
         {"model.layers.{i}.self_attn", "model.language_model.layers.{i}.self_attn", "backbone.layers.{i}.mixer"}) {
        SplitMix64 rng(7);
        for (int round = 0; round < 20; ++round) {
            PrecisionPlan plan = random_pairs(rng, {8, 4}, 20);
            for (LayerPlan & layer : plan.layers) {
                if (layer.k.bits < layer.v.bits) layer.k = layer.v;  // (4,8) has no name
                if (layer.layer % 5 == 4) layer.k = layer.v = f16_format();
            }
            ExportOptions options = with_path();
            options.hf_attn_path  = path;
            options.modelopt_form = round % 3 == 0 ? "hf" : round % 3 == 1 ? "config" : "draft";
            const auto back       = import_modelopt(text_of(plan, "modelopt", options), foreign(plan.model));
            ASSERT_TRUE(back.ok()) << back.error().message;
            EXPECT_EQ(back->plan.layers, plan.layers);
        }
    }
}

TEST(ImportModelOpt, NeedsLeaveAndAMode) {
    ImportOptions options{.model = example_model()};
    EXPECT_EQ(import_modelopt(kMap, options).error().message,
              "FP8 and NVFP4 are formats that a plan cannot hold; --map-foreign makes them 8 and 4 bit integers");
    options.map_foreign = true;
    EXPECT_EQ(import_modelopt(kMap, options).error().message,
              "the file says nothing about the mode of integer formats: give --mode kivi or per-token");
    options.mode    = Mode::kivi;
    const auto back = import_modelopt(kMap, options);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(payload_bits(back->plan), 5.5);
}

TEST(ImportModelOpt, AUniformSummaryWithoutAListNamesAllLayers) {
    const auto back = import_modelopt(R"({"quantization": {"kv_cache_quant_algo": "FP8"}})", foreign(model_of(3)));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(payload_bits(back->plan), 8);
}

TEST(ImportModelOpt, SaysWhatIsWrongAndWhere) {
    const auto changed = [](const char * pointer, const json & value) {
        json document                         = json::parse(kMap);
        document[json::json_pointer(pointer)] = value;
        return document.dump();
    };
    const std::string at      = "/quantization/kv_cache_quantized_layers";
    json              missing = json::parse(kMap);
    missing["quantization"].erase("kv_cache_schema_version");
    const std::vector<std::pair<std::string, std::string>> cases{
        {changed("/quantization/kv_cache_schema_version", 2),
         "/quantization/kv_cache_schema_version: 2, this kvtuner reads version 1"},
        {missing.dump(), "/quantization/kv_cache_schema_version: missing"},
        {changed("/quantization/kv_cache_quant_algo", "INT4"),
         "/quantization/kv_cache_quant_algo: \"INT4\" is not FP8, NVFP4, FP8_K_NVFP4_V or MIXED_PRECISION"},
        {changed("/quantization/kv_cache_quant_algo", "NVFP4"),
         at + "/model.layers.0.self_attn: \"FP8\", but kv_cache_quant_algo says NVFP4 for all"},
        {changed("/quantization/kv_cache_quantized_layers/model.layers.1.self_attn/quant_algo", "INT3"),
         at + "/model.layers.1.self_attn: \"INT3\" is not FP8, NVFP4 or FP8_K_NVFP4_V"},
        {changed("/quantization/kv_cache_quantized_layers/model.layers.4.self_attn", json{{"quant_algo", "FP8"}}),
         at + "/model.layers.4.self_attn: the model \"example-4L\" has 4 layers"},
        {changed("/quantization/kv_cache_quantized_layers/layers.x", json{{"quant_algo", "FP8"}}),
         at + "/layers.x: not the path of an attention module (model.layers.0.self_attn)"},
        {R"({"quantization": {"kv_cache_quant_algo": "FP8", "kv_cache_schema_version": 1, "kv_cache_quantized_layers": {"layers.0.a": {"quant_algo": "FP8"}}}})",
         at + ": 3 of 4 layers are not listed, but kv_cache_quant_algo says FP8 for all"},
        {"{}", "neither a ModelOpt map (\"quantization\" or \"quantization_config\") nor a search report (\"candidates\")"},
        {R"({"quantization": {}})", "/quantization: says nothing about the KV cache of a layer"},
        {"\x80\x04.", "this is a pickle or a zip archive, which is never opened: save the recipe as JSON"},
    };
    for (const auto & [text, error] : cases) {
        const auto back = import_modelopt(text, foreign(example_model()));
        EXPECT_EQ(back.ok() ? "no error" : back.error().message, error) << text;
    }
}

TEST(ModulePath, PartsAndRefusals) {
    const auto path = parse_module_path("model.language_model.layers.12.self_attn");
    ASSERT_TRUE(path.has_value());
    EXPECT_EQ(path->layer, 12);
    EXPECT_EQ(path->with(3), "model.language_model.layers.3.self_attn");
    for (const char * bad : {"", "layers.", "layers.1", "layers.1.", "layers.x.a", "layers.-1.a", "xlayers.1.a", "layers.01.a",
                             "..layers.1.a", "layers.1.a.b", "layers.99999999999.a", "a/b.layers.1.a"})
        EXPECT_FALSE(parse_module_path(bad).has_value()) << bad;
}

}  // namespace
}  // namespace kvt::recipes
