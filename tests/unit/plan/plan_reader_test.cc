// Every rule of the strict reader, each by the message it gives.
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

std::string error_of(const std::string & text) {
    const auto plan = parse_plan(text);
    return plan.ok() ? "accepted" : plan.error().message;
}

std::string replaced(std::string text, const std::string & from, const std::string & to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

struct Rule {
    const char * name;
    const char * from;  // first occurrence in the example plan
    const char * to;
    const char * message;
};

const Rule kRules[] = {
    {"OtherSchema", "\"kvtuner.plan\"", "\"kvtuner.study\"", "plan: /schema: expected \"kvtuner.plan\", found \"kvtuner.study\""},
    {"HigherVersion", "\"schema_version\": 1", "\"schema_version\": 2",
     "plan: /schema_version: version 2 is newer than this kvtuner reads (1): update kvtuner"},
    {"VersionZero", "\"schema_version\": 1", "\"schema_version\": 0",
     "plan: /schema_version: expected a whole number in 1..2147483647, found 0"},
    {"VersionText", "\"schema_version\": 1", "\"schema_version\": \"1\"",
     "plan: /schema_version: expected a whole number in 1..2147483647, found \"1\""},
    {"NoVersion", "\"schema_version\": 1,", "", "plan: top level: \"schema_version\" is missing"},
    {"OtherIndex", "\"model_layer\"", "\"kv_layer\"", "plan: /index_kind: expected \"model_layer\", found \"kv_layer\""},
    {"TooManySinks", "\"sink_tokens\": 0", "\"sink_tokens\": 65",
     "plan: /sink_tokens: expected a whole number in 0..64, found 65"},
    {"HugeResidual", "\"residual_tokens\": 0", "\"residual_tokens\": 4097",
     "plan: /residual_tokens: expected a whole number in 0..4096, found 4097"},
    // 8 slots of 4 layers, 2 sides, 2 heads of 64 f16 elements
    {"SinksTakeMemory", "\"sink_tokens\": 0", "\"sink_tokens\": 1",
     "plan: /memory/open_bytes: 0 is stated, the layers give 16384"},
    {"UnknownKey", "\"mode\"", "\"colour\": 1, \"mode\"", "plan: /colour: unknown key (only keys that begin with x_ are free)"},
    {"UnknownModelKey", "\"arch\"", "\"colour\": 1, \"arch\"",
     "plan: /model/colour: unknown key (only keys that begin with x_ are free)"},
    {"UnknownLayerKey", "\"attn\"", "\"heads\": [], \"attn\"",
     "plan: /layers/0/heads: unknown key (only keys that begin with x_ are free)"},
    {"DuplicateKey", "\"mode\"", "\"mode\": \"kivi\", \"mode\"", "plan: /mode: duplicate key"},
    {"DuplicateInLayer", "\"kv\": 2,", "\"kv\": 2, \"kv\": 2,", "plan: /layers/2/kv: duplicate key"},
    {"ModelMissing", "\"arch\": \"llama\",", "", "plan: /model: \"arch\" is missing"},
    {"ModelNotAnObject", "\"model\": {", "\"model\": null, \"x_old\": {", "plan: /model: expected an object, found null"},
    {"ShortHash", "\"aaaaaaaa", "\"",
     "plan: /model/file_sha256: expected a SHA-256 of 64 lower-case hex digits or \"\", found "
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\""},
    {"NegativeLayers", "\"n_layer\": 4", "\"n_layer\": -4", "plan: /model/n_layer: expected a whole number in 1..4096, found -4"},
    {"HugeLayers", "\"n_layer\": 4", "\"n_layer\": 4097", "plan: /model/n_layer: expected a whole number in 1..4096, found 4097"},
    {"HugeHeads", "\"n_kv_heads\": 2", "\"n_kv_heads\": 1e99",
     "plan: /model/n_kv_heads: expected a whole number in 1..4096, found 1e+99"},
    {"HugeHeadDim", "\"head_dim_v\": 64", "\"head_dim_v\": 18446744073709551616",
     "plan: /model/head_dim_v: expected a whole number in 1..1024, found 1.8446744073709552e+19"},
    {"FractionalHeads", "\"n_kv_heads\": 2", "\"n_kv_heads\": 2.0",
     "plan: /model/n_kv_heads: expected a whole number in 1..4096, found 2.0"},
    {"OtherMode", "\"per-token-asym\"", "\"per-token\"",
     "plan: /mode: expected \"per-token-asym\" or \"kivi\" or \"rotated\" or \"custom\", found \"per-token\""},
    {"WrongMode", "\"per-token-asym\"", "\"kivi\"",
     "plan: /layers/0/k: format \"int8.pt64\" does not belong to mode \"kivi\", which stores \"int8.pc32.sealed\" here (or use "
     "mode \"custom\")"},
    {"UndefinedFormat", "\"k\": \"int4.pt64\"", "\"k\": \"int5\"",
     "plan: /layers/2/k: format \"int5\" is not defined (formats: int2.pt64, int4.pt64, int8.pt64)"},
    {"FormatNotText", "\"k\": \"int4.pt64\"", "\"k\": 4", "plan: /layers/2/k: expected a text, found 4"},
    {"FormatMisnamed", "\"int2.pt64\": {", "\"two\": {", "plan: /formats/two: this definition is called \"int2.pt64\""},
    {"FormatBits", "\"bits\": 2", "\"bits\": 3", "plan: /formats/int2.pt64: this definition is called \"int3.pt64\""},
    {"FormatCodec", "\"codec\": \"int_asym\"", "\"codec\": \"fp8\"",
     "plan: /formats/int2.pt64/codec: expected \"f16\" or \"int_asym\", found \"fp8\""},
    {"FormatScale", "\"scale\": \"f16\"", "\"scale\": \"f32\"",
     "plan: /formats/int2.pt64/scale: expected \"f16\" or \"byte\", found \"f32\""},
    {"FormatByteScale", "\"scale\": \"f16\"", "\"scale\": \"byte\"",
     "plan: /formats/int2.pt64: this definition is called \"int2.pt64.byte\""},
    {"FormatRotation", "\"scale\": \"f16\"", "\"scale\": \"f16\", \"rotation\": \"none\"",
     "plan: /formats/int2.pt64/rotation: unknown key (only keys that begin with x_ are free)"},
    {"CalibrationOfNothing", "\"calibration\": null",
     "\"calibration\": {\"file\": \"c\", \"sha256\": \"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\", "
     "\"positions\": 1}",
     "plan: /calibration: no transform is defined, so there is nothing to calibrate"},
    {"FormatNoGroup", " \"group\": 64,", "", "plan: /formats/int2.pt64: \"group\" is missing"},
    {"FormatUnused", "\"formats\": {", "\"formats\": {\"f16\": {\"codec\": \"f16\", \"bits\": 16},",
     "plan: /formats/f16: no layer uses this format"},
    {"F16Bits", "\"formats\": {", "\"formats\": {\"f16\": {\"codec\": \"f16\", \"bits\": 8},",
     "plan: /formats/f16/bits: expected 16, found 8"},
    {"LayersNotAList", "\"layers\": [", "\"layers\": 7, \"x_old\": [", "plan: /layers: expected an array, found 7"},
    {"LayersEmpty", "\"layers\": [", "\"layers\": [], \"x_old\": [", "plan: /layers: no layer is listed"},
    {"LayerNotAnObject", "\"layers\": [", "\"layers\": [3], \"x_old\": [", "plan: /layers/0: expected an object, found 3"},
    {"LayerRepeated", "\"layer\": 2,", "\"layer\": 1,", "plan: /layers/2/layer: layer 1 is listed twice"},
    {"LayerDescends", "\"layer\": 2,", "\"layer\": 0,", "plan: /layers/2/layer: layer 0 comes after layer 1: layers must ascend"},
    {"LayerOutOfRange", "\"layer\": 3,", "\"layer\": 4,", "plan: /layers/3/layer: expected a whole number in 0..3, found 4"},
    {"LayerNegative", "\"layer\": 0,", "\"layer\": -1,", "plan: /layers/0/layer: expected a whole number in 0..3, found -1"},
    {"OrdinalGap", "\"kv\": 2,", "\"kv\": 3,",
     "plan: /layers/2/kv: expected 2, found 3: KV layers count 0, 1, 2, ... (is a layer missing?)"},
    {"OtherAttention", "\"attn\": \"full\"", "\"attn\": \"linear\"",
     "plan: /layers/0/attn: expected \"full\" or \"sliding\", found \"linear\""},
    {"WrongKBytes", "\"k_bytes\": 4352", "\"k_bytes\": 136",
     "plan: /layers/0/k_bytes: 136 is stated, 4352 bytes are what \"int8.pt64\" takes for 32 tokens, 2 KV heads of 64"},
    {"NegativeBytes", "\"v_bytes\": 4352", "\"v_bytes\": -1",
     "plan: /layers/0/v_bytes: expected a whole number of at most 64 bits, not negative, found -1"},
    {"MemoryTotal", "\"bytes_per_block\": 23552", "\"bytes_per_block\": 23553",
     "plan: /memory/bytes_per_block: 23553 is stated, the layers give 23552"},
    {"MemoryF16", "\"bytes_per_block_f16\": 65536", "\"bytes_per_block_f16\": 0",
     "plan: /memory/bytes_per_block_f16: 0 is stated, the layers give 65536"},
    {"MemoryOpen", "\"open_bytes\": 0", "\"open_bytes\": 2", "plan: /memory/open_bytes: 2 is stated, the layers give 0"},
    {"MemoryPayload", "\"payload_bits\": 5.25", "\"payload_bits\": 5.24",
     "plan: /memory/payload_bits: 5.24 is stated, the layers give 5.25"},
    {"MemoryEffective", "\"effective_bits\": 5.75", "\"effective_bits\": 5.25",
     "plan: /memory/effective_bits: 5.25 is stated, the layers give 5.75"},
    {"MemoryTokens", "\"at_tokens\": 4096", "\"at_tokens\": 1024",
     "plan: /memory/at_tokens: 1024 is stated, the layers give 4096"},
    {"MeasuredType", "\"value\": 0.0021", "\"value\": \"low\"",
     "plan: /measured/0/value: expected a finite number, found \"low\""},
    {"MeasuredInterval", "[0.0018, 0.0024]", "[0.0018]", "plan: /measured/0/ci95: expected two numbers, low and high"},
    {"MeasuredJoint", "\"joint\": true", "\"joint\": 1", "plan: /measured/0/joint: expected true or false, found 1"},
    {"OtherTool", "\"tool\": \"kvtuner\"", "\"tool\": \"other\"",
     "plan: /provenance/tool: expected \"kvtuner\", found \"other\""},
    {"NegativeSeed", "\"seed\": 1234", "\"seed\": -1",
     "plan: /provenance/seed: expected a whole number of at most 64 bits, not negative, found -1"},
    {"InputHash", "\"cccccccc", "\"",
     "plan: /provenance/inputs/1/sha256: expected a SHA-256 of 64 lower-case hex digits, found "
     "\"cccccccccccccccccccccccccccccccccccccccc...\""},
    {"Comment", "\"mode\"", "// why\n \"mode\"", "plan: line 10, column 3: not valid JSON near \"  /\""},
    {"NotANumber", "0.0021", "NaN", "plan: line 32, column 52: not valid JSON near \"\": \"nat\", \"value\": N\""},
    {"TooBigNumber", "0.0021", "1e999", "plan: line 32, column 56: not valid JSON near \"nat\", \"value\": 1e999\""},
};

// Of the plan with transforms: "dense4" of its keys, "hadamard" of its values.
const Rule kRotatedRules[] = {
    {"NoTransforms", "\"transforms\": {", "\"x_old\": {", "plan: top level: \"transforms\" is missing"},
    {"TransformsNotAnObject", "\"transforms\": {", "\"transforms\": [], \"x_old\": {",
     "plan: /transforms: expected an object, found an array"},
    {"TransformNotAnObject", "{\"rotation\": \"dense\"}", "\"dense\"",
     "plan: /transforms/dense4: expected an object, found \"dense\""},
    {"OtherRotation", "{\"rotation\": \"dense\"}", "{\"rotation\": \"spin\"}",
     "plan: /transforms/dense4/rotation: expected \"none\" or \"hadamard\" or \"dense\", found \"spin\""},
    {"UnknownTransformKey", "{\"rotation\": \"dense\"}", "{\"rotation\": \"dense\", \"center\": []}",
     "plan: /transforms/dense4/center: unknown key (only keys that begin with x_ are free)"},
    {"UnusedTransform", "\"transforms\": {", "\"transforms\": {\"dense5\": {\"rotation\": \"dense\"},",
     "plan: /transforms/dense5: no layer uses this transform"},
    {"UndefinedKeyTransform", "\"k_transform\": \"dense4\"", "\"k_transform\": \"dense5\"",
     "plan: /layers/0/k_transform: transform \"dense5\" is not defined"},
    {"UndefinedValueTransform", "\"v_transform\": \"hadamard\"", "\"v_transform\": \"\"",
     "plan: /layers/0/v_transform: transform \"\" is not defined"},
    {"TransformNotText", "\"k_transform\": \"dense4\"", "\"k_transform\": 4",
     "plan: /layers/0/k_transform: expected a text, found 4"},
    {"NoCalibration", "\"calibration\": {", "\"x_old\": {", "plan: top level: \"calibration\" is missing"},
    {"NullCalibration", "\"calibration\": {", "\"calibration\": null, \"x_old\": {",
     "plan: /calibration: is null, but transforms need one (kvtuner calibrate)"},
    {"CalibrationFile", "\"example.safetensors\"", "7", "plan: /calibration/file: expected a text, found 7"},
    {"CalibrationWithoutFile", "\"example.safetensors\"", "\"\"", "plan: /calibration/file: the name is empty"},
    {"CalibrationHash", "\"eeeeeeee", "\"",
     "plan: /calibration/sha256: expected a SHA-256 of 64 lower-case hex digits, found "
     "\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee...\""},
    {"CalibrationPositions", "\"positions\": 32768", "\"positions\": 0",
     "plan: /calibration/positions: expected a whole number in 1..1073741824, found 0"},
    {"UnknownCalibrationKey", "\"positions\"", "\"folder\": \"/\", \"positions\"",
     "plan: /calibration/folder: unknown key (only keys that begin with x_ are free)"},
};

class PlanReaderRule : public ::testing::TestWithParam<Rule> {};

TEST_P(PlanReaderRule, GivesItsMessage) {
    const Rule & rule = GetParam();
    EXPECT_EQ(error_of(replaced(write_plan(testing::example_plan()), rule.from, rule.to)), rule.message);
}

INSTANTIATE_TEST_SUITE_P(All, PlanReaderRule, ::testing::ValuesIn(kRules),
                         [](const auto & rule) { return std::string(rule.param.name); });

class PlanReaderRotatedRule : public ::testing::TestWithParam<Rule> {};

TEST_P(PlanReaderRotatedRule, GivesItsMessage) {
    const Rule & rule = GetParam();
    EXPECT_EQ(error_of(replaced(write_plan(testing::rotated_plan()), rule.from, rule.to)), rule.message);
}

INSTANTIATE_TEST_SUITE_P(All, PlanReaderRotatedRule, ::testing::ValuesIn(kRotatedRules),
                         [](const auto & rule) { return std::string(rule.param.name); });

TEST(PlanReader, RefusesTransformsOfSixteenBits) {
    PrecisionPlan plan = testing::rotated_plan();
    plan.layers[2].v   = f16_format();
    EXPECT_EQ(error_of(write_plan(plan)), "plan: /layers/2/v_transform: an f16 side takes no transform");
}

TEST(PlanReader, AcceptsFreeKeysAnywhere) {
    std::string text = write_plan(testing::example_plan());
    for (const char * at : {"\"mode\"", "\"arch\"", "\"attn\"", "\"codec\"", "\"block_tokens\"", "\"metric\"", "\"role\""}) {
        text = replaced(text, at, std::string("\"x_note\": {\"by\": [1, 2]}, ") + at);
    }
    const auto plan = parse_plan(text);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(*plan, testing::example_plan());
}

TEST(PlanReader, AcceptsLayersWithoutACache) {  // hybrid models: attention at model layers 1 and 3 of 4
    PrecisionPlan plan = testing::example_plan();
    plan.layers        = {plan.layers[1], plan.layers[3]};
    plan.layers[0].kv  = 0;
    plan.layers[1].kv  = 1;
    const auto read    = parse_plan(write_plan(plan));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, plan);
}

TEST(PlanReader, RefusesFormatsThatTheHeadCannotHold) {
    PrecisionPlan plan    = testing::example_plan();
    plan.mode             = Mode::custom;
    plan.model.head_dim_k = 48;
    EXPECT_EQ(error_of(write_plan(plan)),
              "plan: /layers/0/k: format \"int8.pt64\" cannot be used here: group 64 is outside of 1..48 (head_dim)");
    plan             = testing::example_plan();
    plan.mode        = Mode::custom;
    plan.layers[1].v = mode_format(Mode::kivi, Side::key, 4, 64);
    EXPECT_EQ(
        error_of(write_plan(plan)),
        "plan: /layers/1/v: format \"int4.pc32.sealed\" cannot be used here: values are quantized per token, not per channel");
}

TEST(PlanReader, RefusesMoreLayersThanTheModelHas) {
    PrecisionPlan plan = testing::example_plan();
    plan.model.n_layer = 3;
    EXPECT_EQ(error_of(write_plan(plan)), "plan: /layers: 4 layers are listed, the model has 3");
}

TEST(PlanReader, RefusesWhatIsNotAPlanAtAll) {
    EXPECT_EQ(error_of(""), "plan: the text is empty");
    EXPECT_EQ(error_of("[]"), "plan: top level: expected an object, found an array");
    EXPECT_EQ(error_of("{}"), "plan: top level: \"schema\" is missing");
    EXPECT_EQ(error_of(write_plan(testing::example_plan()) + "x").substr(0, 10), "plan: line");
    EXPECT_EQ(error_of(std::string((16u << 20) + 1, ' ')), "plan: 16777217 bytes of text, more than the 16777216 allowed");
    EXPECT_NE(error_of(std::string(1 << 20, '[')).find("nested more than 16 deep"), std::string::npos);
}

TEST(PlanFile, NamesTheFile) {
    const std::string path = ::testing::TempDir() + "kvt_plan_reader_test.json";
    ASSERT_TRUE(
        write_file_atomic(path, replaced(write_plan(testing::example_plan()), "\"k\": \"int4.pt64\"", "\"k\": \"int5\"")).ok());
    const auto plan = read_plan_file(path);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().message,
              "plan \"" + path + "\": /layers/2/k: format \"int5\" is not defined (formats: int2.pt64, int4.pt64, int8.pt64)");
    EXPECT_EQ(read_plan_file("/nonexistent.json").error().message,
              "cannot read \"/nonexistent.json\": No such file or directory");
    EXPECT_EQ(read_plan_file(::testing::TempDir()).error().message,
              "cannot read \"" + ::testing::TempDir() + "\": Is a directory");

    ASSERT_TRUE(write_file_atomic(path, write_plan(testing::example_plan())).ok());
    EXPECT_EQ(*read_plan_file(path), testing::example_plan());
}

TEST(PlanFile, ItsFolderIsWhereTheCalibrationIsLookedFor) {
    const std::string path = ::testing::TempDir() + "kvt_plan_reader_rotated.json";
    ASSERT_TRUE(write_file_atomic(path, write_plan(testing::rotated_plan())).ok());
    PrecisionPlan expected      = testing::rotated_plan();
    expected.calibration.folder = path.substr(0, path.rfind('/'));
    EXPECT_EQ(*read_plan_file(path), expected);
}

}  // namespace
}  // namespace kvt
