#include <map>
#include <string>

#include <gtest/gtest.h>

#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

TEST(PairName, WritesAndReads) {
    EXPECT_EQ(pair_name(8, 8), "KV8");
    EXPECT_EQ(pair_name(8, 4), "K8V4");
    for (const int k : {2, 3, 4, 5, 6, 8, 16}) {
        for (const int v : {2, 3, 4, 5, 6, 8, 16}) EXPECT_EQ(*parse_pair(pair_name(k, v)), (PairBits{k, v}));
    }
    EXPECT_EQ(*parse_pair("K4V4"), (PairBits{4, 4}));
    EXPECT_EQ(*parse_pair("k4v2"), (PairBits{4, 2}));
}

TEST(PairName, RefusesOtherText) {
    for (const char * text :
         {"", "K", "KV", "K4", "V4", "KV7", "K4V", "K4V1", "K4V4x", "KV4V4", "K-4V4", "K4 V4", "KV99999999999", "KVKV4"}) {
        const auto pair = parse_pair(text);
        ASSERT_FALSE(pair.ok()) << text;
        EXPECT_EQ(pair.error().message,
                  "pair \"" + std::string(text) +
                      "\" is unknown: K<bits>V<bits> or KV<bits> with bits 2, 3, 4, 5, 6, 8 or 16, for example K8V4");
    }
}

TEST(ShortForm, ReadsEveryKind) {
    const auto f16 = parse_short_form("f16");
    EXPECT_EQ(f16->pair, (PairBits{16, 16}));
    const auto kivi = parse_short_form("kivi:K4V2");
    EXPECT_EQ(kivi->mode, Mode::kivi);
    EXPECT_EQ(kivi->pair, (PairBits{4, 2}));
    EXPECT_EQ(kivi->head_dim, 0);
    EXPECT_EQ(parse_short_form("rotated:K4V3")->mode, Mode::rotated);
    for (const char * text : {"per-token:K8V4:hd64", "per-token-asym:K8V4:hd64"}) {
        const auto form = parse_short_form(text);
        ASSERT_TRUE(form.ok()) << form.error().message;
        EXPECT_EQ(form->mode, Mode::per_token_asym);
        EXPECT_EQ(form->head_dim, 64);
    }
}

TEST(ShortForm, RefusesGarbageInWords) {
    const struct {
        const char * text;
        const char * part;
    } cases[] = {
        {"kivi", "pair \"\" is unknown"},
        {"kivi:", "pair \"\" is unknown"},
        {"kivi:K4V7", "pair \"K4V7\" is unknown"},
        {"kivi:K4V2:", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:64", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:hd", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:h", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:hd0", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:hd-64", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:hd99999", "only :hd<head_dim> may follow"},
        {"kivi:K4V2:hd64:hd64", "only :hd<head_dim> may follow"},
        {"custom:K4V2", "the mode must be kivi, per-token or rotated"},
        {"", "the mode must be kivi, per-token or rotated"},
    };
    for (const auto & c : cases) {
        const auto form = parse_short_form(c.text);
        ASSERT_FALSE(form.ok()) << c.text;
        EXPECT_NE(form.error().message.find(c.part), std::string::npos) << form.error().message;
        EXPECT_TRUE(form.error().message.starts_with("short form \"" + std::string(c.text) + "\": ")) << form.error().message;
    }
}

TEST(ShortForm, IsToldFromPathsAndJson) {
    for (const char * text : {"f16", "kivi:K4V2", "kivi", "kivi:nonsense", "per-token:KV8", "rotated:KV4"})
        EXPECT_TRUE(looks_like_short_form(text)) << text;
    for (const char * text : {"", "plan.json", "/tmp/kivi:K4V2", "kivi.json", "f16.json", "{\"schema\": 1}", "./kivi:K4V2"}) {
        EXPECT_FALSE(looks_like_short_form(text)) << text;
    }
}

TEST(UniformPlan, GivesEveryLayerTheModesFormats) {
    const PrecisionPlan plan = uniform_plan(testing::example_model(), Mode::kivi, 4, 2);
    ASSERT_EQ(plan.layers.size(), 4u);
    for (int i = 0; i < 4; ++i) {
        const LayerPlan & layer = plan.layers[static_cast<size_t>(i)];
        EXPECT_EQ(layer.layer, i);
        EXPECT_EQ(layer.kv, i);
        EXPECT_EQ(format_name(layer.k), "int4.pc32.sealed");
        EXPECT_EQ(format_name(layer.v), "int2.pt32.sealed");
    }
    EXPECT_EQ(plan.provenance.method, "uniform");
    EXPECT_EQ(format_name(uniform_plan(testing::example_model(), Mode::per_token_asym, 16, 8).layers[0].k), "f16");
}

TEST(UniformPlan, RotatedNamesTransformsOfWhatIsQuantized) {
    using Transforms = std::map<std::string, Rotation>;
    const struct {
        int         k, v;
        const char *k_transform, *v_transform;
        Transforms  transforms;
        int         sinks;
    } cases[] = {
        {3, 4, "dense3", "hadamard", {{"dense3", Rotation::dense}, {"hadamard", Rotation::hadamard}}, 1},
        {8, 16, "dense8", "", {{"dense8", Rotation::dense}}, 1},
        {16, 2, "", "hadamard", {{"hadamard", Rotation::hadamard}}, 1},
        {16, 16, "", "", {}, 0},
    };
    for (const auto & c : cases) {
        const PrecisionPlan plan = uniform_plan(testing::example_model(), Mode::rotated, c.k, c.v);
        EXPECT_EQ(plan.layers[3].k_transform, c.k_transform);
        EXPECT_EQ(plan.layers[3].v_transform, c.v_transform);
        EXPECT_EQ(plan.transforms, c.transforms) << pair_name(c.k, c.v);
        EXPECT_EQ(plan.kept, (Kept{c.sinks, 0}));
        EXPECT_TRUE(plan.calibration.file.empty());
    }
    ModelInfo wide  = testing::example_model();
    wide.head_dim_k = 256;
    EXPECT_EQ(format_name(uniform_plan(wide, Mode::rotated, 4, 3).layers[0].k), "int4.pt128.byte");
    EXPECT_EQ(format_name(uniform_plan(wide, Mode::rotated, 4, 3).layers[0].v), "int3.pt64.byte");
}

}  // namespace
}  // namespace kvt
