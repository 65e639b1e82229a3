#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

TEST(WritePlan, IsJsonWithTheFiguresOfThePlan) {
    const auto json = nlohmann::json::parse(write_plan(testing::example_plan(Mode::kivi)));
    EXPECT_EQ(json["schema"], "kvtuner.plan");
    EXPECT_EQ(json["layers"][1]["k"], "int8.pc32.sealed");
    EXPECT_EQ(json["layers"][1]["k_bytes"], 2 * (2048 + 64 * 4));
    EXPECT_EQ(json["formats"]["int4.pt32.sealed"]["store"], "sealed-block");
    EXPECT_EQ(json["memory"]["open_bytes"], 2 * 4 * 2 * 2 * 4096);
    EXPECT_EQ(json["memory"]["payload_bits"], 5.25);
    EXPECT_EQ(json["provenance"]["seed"], 1234);
}

TEST(WritePlan, TransformsAndTheirCalibration) {
    const auto json = nlohmann::json::parse(write_plan(testing::rotated_plan()));
    EXPECT_EQ(json["mode"], "rotated");
    EXPECT_EQ(json["sink_tokens"], 1);
    EXPECT_EQ(json["residual_tokens"], 64);
    EXPECT_EQ(json["formats"]["int4.pt64.byte"]["scale"], "byte");
    EXPECT_EQ(json["transforms"],
              nlohmann::json::parse(R"({"dense4": {"rotation": "dense"}, "hadamard": {"rotation": "hadamard"}})"));
    EXPECT_EQ(json["calibration"]["file"], "example.safetensors");
    EXPECT_EQ(json["calibration"]["positions"], 32768);
    EXPECT_FALSE(json["calibration"].contains("folder")) << "a plan holds no paths";
    EXPECT_EQ(json["layers"][3]["k_transform"], "dense4");
    EXPECT_EQ(json["layers"][3]["v_transform"], "hadamard");
    // 8 slots of one sink token: 2 heads of 64 f16 elements, 4 layers, 2 sides
    EXPECT_EQ(json["memory"]["open_bytes"], 8 * 2 * 64 * 2 * 4 * 2);

    const auto plain = nlohmann::json::parse(write_plan(testing::example_plan()));
    EXPECT_EQ(plain["transforms"], nlohmann::json::object());
    EXPECT_TRUE(plain["calibration"].is_null());
    EXPECT_FALSE(plain["layers"][0].contains("k_transform"));
}

TEST(WritePlan, PerTokenPlansKeepNoOpenBlocks) {
    const auto json = nlohmann::json::parse(write_plan(testing::example_plan()));
    EXPECT_EQ(json["memory"]["open_bytes"], 0);
}

TEST(WritePlan, ReadsBackEqualAndRewritesTheSameBytes) {
    for (const PrecisionPlan & plan : {testing::example_plan(), testing::example_plan(Mode::kivi), testing::rotated_plan()}) {
        const auto read = parse_plan(write_plan(plan));
        ASSERT_TRUE(read.ok()) << read.error().message;
        EXPECT_EQ(*read, plan);
        EXPECT_EQ(write_plan(*read), write_plan(plan));
    }
}

TEST(WritePlan, FiguresThatAreNoNumbersAreLeftOut) {
    PrecisionPlan plan = testing::example_plan();
    plan.measured.push_back(plan.measured[0]);
    plan.measured[0].ci_low = std::nan("");  // fewer than 8 chunks give no interval
    plan.measured[1].value  = std::numeric_limits<double>::infinity();
    const auto read         = parse_plan(write_plan(plan));
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->measured.size(), 1u);
    EXPECT_FALSE(read->measured[0].ci_low.has_value());
}

TEST(WritePlan, NamesFromStrangeModelsStayValidJson) {
    PrecisionPlan plan     = testing::example_plan();
    plan.model.name        = std::string("\xff\xfe\0\"\\\n\x7f", 7) + "\xc3\xa9";
    const std::string text = write_plan(plan);
    for (const char c : text) ASSERT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << static_cast<int>(c);
    const auto read = parse_plan(text);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(write_plan(*read), text);
}

}  // namespace
}  // namespace kvt
