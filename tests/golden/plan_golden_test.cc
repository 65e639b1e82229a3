// A plan file of schema version 1, fixed for ever: users have such files.
//
// KVT_REGENERATE=1 rewrites tests/golden/plan_v1.json instead of comparing.
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

const std::string kPath = std::string(KVT_TEST_ROOT) + "/golden/plan_v1.json";

// KIVI formats, a layer with transforms, one 16-bit layer, a sliding layer, a layer without a cache.
PrecisionPlan golden_plan() {
    PrecisionPlan plan   = testing::example_plan(Mode::kivi);
    plan.mode            = Mode::custom;
    plan.kept            = {1, 64};
    plan.model.n_layer   = 7;
    plan.layers[3].layer = 4;
    plan.layers[3].attn  = Attention::sliding;
    plan.layers.push_back({5, 4, Attention::full, f16_format(), f16_format()});
    plan.layers.push_back({6, 5, Attention::full, mode_format(Mode::rotated, Side::key, 3, 64),
                           mode_format(Mode::rotated, Side::value, 4, 64), "dense3", "hadamard"});
    plan.transforms  = {{"dense3", Rotation::dense}, {"hadamard", Rotation::hadamard}};
    plan.calibration = {"", "plan_v1.safetensors", testing::hash_of('d'), 8192};
    return plan;
}

TEST(GoldenPlan, WritingGivesTheSameBytes) {
    const std::string now = write_plan(golden_plan());
    if (std::getenv("KVT_REGENERATE") != nullptr) {
        std::ofstream(kPath) << now;
        GTEST_SKIP() << "rewrote " << kPath;
    }
    const auto expected = read_file(kPath);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    EXPECT_EQ(*expected, now);
}

TEST(GoldenPlan, ReadingGivesTheSamePlan) {
    const auto plan = read_plan_file(kPath);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    PrecisionPlan expected      = golden_plan();
    expected.calibration.folder = std::string(KVT_TEST_ROOT) + "/golden";
    EXPECT_EQ(*plan, expected);
}

}  // namespace
}  // namespace kvt
