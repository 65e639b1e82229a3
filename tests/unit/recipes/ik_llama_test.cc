#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;
using kvt::testing::example_plan;

// The types that the flags of one side give n layers: base, then first, then last, which wins.
std::vector<std::string> expanded(const std::string & flags, const std::string & side, int n) {
    std::vector<std::string>           types(static_cast<size_t>(n));
    std::istringstream                 words(flags);
    std::string                        flag, value;
    std::map<std::string, std::string> given;
    while (words >> flag) {
        if (flag.ends_with("had")) continue;
        words >> value;
        given[flag] = value;
    }
    for (std::string & type : types) type = given["-ct" + side];
    for (const bool last : {false, true}) {
        const auto found = given.find("-ct" + side + (last ? "-last" : "-first"));
        if (found == given.end()) continue;
        const size_t comma = found->second.find(',');
        const int    count = std::stoi(found->second.substr(comma + 1));
        for (int i = last ? n - count : 0; i < (last ? n : count); ++i)
            types[static_cast<size_t>(i)] = found->second.substr(0, comma);
    }
    return types;
}

TEST(IkLlama, GoldenLines) {
    EXPECT_EQ(text_of(example_plan(), "ik", raised()), "-ctk q4_0 -ctk-first q8_0,2 -ctv q4_0 -ctv-first q8_0,1\n");
    EXPECT_EQ(text_of(plan_with({{8, 8}, {4, 8}, {4, 8}, {16, 8}}), "ik"),
              "-ctk q4_0 -ctk-first q8_0,1 -ctk-last f16,1 -ctv q8_0\n");
    EXPECT_EQ(text_of(plan_with({{16, 5}, {16, 6}}), "ik"), "-ctk f16 -ctv q6_0 -ctv-first q5_0,1\n");
}

TEST(IkLlama, FlagsExpandToTheWrittenTypes) {
    SplitMix64 rng(9);
    for (int round = 0; round < 300; ++round) {
        const PrecisionPlan plan = random_pairs(rng, {2, 4, 5, 6, 8, 16}, 12);
        const auto          out  = export_plan(plan, "ik", raised());
        ASSERT_TRUE(out.ok()) << out.error().message;
        const auto k = expanded(out->text, "k", plan.model.n_layer), v = expanded(out->text, "v", plan.model.n_layer);
        for (size_t i = 0; i < plan.layers.size(); ++i) {
            EXPECT_EQ(out->loss.layers[i].type.name, k[i] + "/" + v[i]);
            EXPECT_GE(out->loss.layers[i].type.k_bits, plan.layers[i].k.bits);
            EXPECT_GE(out->loss.layers[i].type.v_bits, plan.layers[i].v.bits);
        }
    }
}

TEST(IkLlama, WhatItCannotExpress) {
    EXPECT_EQ(error_of(example_plan(), "ik"),
              "ik: layer 3 (K4V2): its narrowest type is q4_0; 1 of 4 layers is at fault; --approx=raise writes the next wider "
              "type and "
              "reports the loss");
    EXPECT_EQ(
        error_of(plan_with({{8, 8}, {4, 8}, {8, 8}, {4, 8}}), "ik"),
        "ik: layer 1 (K4V8): it has three runs of layers for K and three for V, which do not fit; 1 of 4 layers is at fault; "
        "--approx=raise writes the next wider type and reports the loss");
    PrecisionPlan narrow    = plan_with({{8, 8}});
    narrow.model.head_dim_k = 80;
    EXPECT_EQ(error_of(narrow, "ik", raised()),
              "ik: layer 0 (KV8): its types hold blocks of 32 values, and head_dim is 80; 1 of 1 layers is at fault");
    PrecisionPlan pangu = plan_with({{8, 8}});
    pangu.model.arch    = "openpangu";
    EXPECT_EQ(error_of(pangu, "ik", raised()), "ik: the architecture \"openpangu\" ignores its per-layer flags");
}

TEST(IkLlama, LayersWithoutACacheMayTakeAnyType) {
    EXPECT_EQ(text_of(hybrid_plan({8, 8}, {8, 8}), "ik"), "-ctk q8_0 -ctv q8_0\n");
    EXPECT_EQ(text_of(hybrid_plan({8, 8}, {4, 4}), "ik"), "-ctk q8_0 -ctk-last q4_0,1 -ctv q8_0 -ctv-last q4_0,1\n");
}

TEST(IkLlama, HadamardRotationsStay) {
    const auto out = export_plan(kvt::testing::rotated_plan(), "ik", raised());
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->text, "-ctk q4_0 -ctv q8_0 -vhad\n");
    EXPECT_EQ(out->loss.dropped, (std::vector<std::string>{"transform \"dense4\" (dense)",
                                                           "center and scale of transform \"hadamard\" (its rotation is kept)",
                                                           "1 sink token at 16 bits"}))
        << "the residual window concerns sealed formats only";
}

}  // namespace
}  // namespace kvt::recipes
