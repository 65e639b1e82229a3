#include "kvt/cli/plan_argument.h"

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plan/calibration.h"
#include "kvt/plan/safetensors.h"
#include "support/plans.h"

namespace kvt::cli {
namespace {

using testing::example_model;
using testing::example_plan;

std::string error_of(const std::string & text, const std::optional<ModelInfo> & model, Force force = Force::no) {
    const auto plan = load_plan_argument(text, model, force);
    return plan.ok() ? "" : plan.error().message;
}

TEST(PlanArgument, ShortFormsNeedAModel) {
    EXPECT_EQ(error_of("kivi:K4V2", std::nullopt),
              "\"kivi:K4V2\" is a short form and says nothing about a model: give -m MODEL too");
    const auto plan = load_plan_argument("kivi:K4V2", example_model(), Force::no);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(*plan, uniform_plan(example_model(), Mode::kivi, 4, 2));
    EXPECT_EQ(load_plan_argument("f16", example_model(), Force::no)->layers[0].k, f16_format());
}

TEST(PlanArgument, ShortFormsMustFitTheModel) {
    EXPECT_EQ(error_of("per-token:KV4:hd128", example_model()),
              "\"per-token:KV4:hd128\" is for head_dim 128, the model \"example-4L\" has 64");
    ModelInfo narrow  = example_model();
    narrow.head_dim_v = 16;
    EXPECT_EQ(error_of("kivi:KV4", narrow),
              "\"kivi:KV4\" does not fit the model \"example-4L\": group 32 is outside of 1..16 (head_dim)");
    EXPECT_NE(error_of("kivi:K4V7", example_model()).find("pair \"K4V7\" is unknown"), std::string::npos);
}

TEST(PlanArgument, FilesAreCheckedAgainstTheModel) {
    const std::string path = ::testing::TempDir() + "kvt_plan_argument_test.json";
    ASSERT_TRUE(write_file_atomic(path, write_plan(example_plan())).ok());
    EXPECT_EQ(error_of(path, std::nullopt), "");
    EXPECT_EQ(error_of(path, example_model()), "");

    ModelInfo other   = example_model();
    other.file_sha256 = testing::hash_of('9');
    EXPECT_NE(error_of(path, other).find("--force uses the plan anyway"), std::string::npos);
    EXPECT_EQ(error_of(path, other, Force::yes), "");
    EXPECT_TRUE(check_plan_for_model(*load_plan_argument(path, other, Force::yes), other).ok());  // later checks agree
    other.n_layer = 5;
    EXPECT_NE(error_of(path, other, Force::yes).find("n_layer is 4 in the plan"), std::string::npos);
}

TEST(PlanArgument, RotatedShortFormsTakeTheCalibrationThatIsGiven) {
    EXPECT_EQ(load_plan_argument("rotated:K4V3", example_model(), Force::no, "").error().message,
              "\"rotated:K4V3\" needs a calibration: make one with kvtuner calibrate and give it with --calibration");
    EXPECT_EQ(error_of("rotated:KV16", example_model()), "") << "nothing is quantized";
    EXPECT_EQ(error_of("rotated:K4V3", example_model()), "") << "sizes need no calibration";

    const std::string path = ::testing::TempDir() + "kvt_plan_argument_test.safetensors";
    ASSERT_TRUE(write_file_atomic(path, write_safetensors({{}, {{"positions", "300"}}})).ok());
    const auto plan = load_plan_argument("rotated:K4V3", example_model(), Force::no, path);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    PrecisionPlan expected = uniform_plan(example_model(), Mode::rotated, 4, 3);
    expected.calibration   = *describe_calibration(path);
    EXPECT_EQ(*plan, expected);
    EXPECT_EQ(load_plan_argument("rotated:K4V3", example_model(), Force::no, "/nonexistent.safetensors").error().message,
              "cannot read \"/nonexistent.safetensors\": No such file or directory");
}

TEST(PlanArgument, PlanFilesNameTheirOwnCalibration) {
    const std::string path = ::testing::TempDir() + "kvt_plan_argument_rotated.json";
    ASSERT_TRUE(write_file_atomic(path, write_plan(testing::rotated_plan())).ok());
    const auto plan = load_plan_argument(path, example_model(), Force::no);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->calibration.file, testing::rotated_plan().calibration.file);
    EXPECT_EQ(plan->calibration.folder, path.substr(0, path.rfind('/')));
}

TEST(PlanArgument, UnknownTextIsNeitherFileNorShortForm) {
    EXPECT_EQ(error_of("kiwi:K4V2", example_model()),
              "there is no plan file \"kiwi:K4V2\", and it is not a short form (f16, kivi:K4V2, per-token:K8V4, rotated:KV4)");
}

}  // namespace
}  // namespace kvt::cli
