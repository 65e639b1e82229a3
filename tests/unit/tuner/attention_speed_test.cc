#include "kvt/tuner/speed/attention_speed.h"

#include <gtest/gtest.h>

namespace kvt::testing {
namespace {

SpeedShape small_shape() {
    SpeedShape shape;
    shape.model     = {"m", "llama", std::string(64, 'a'), 2, 2, 64, 64};
    shape.n_q_heads = 6;
    shape.n_cells   = 512;
    shape.n_threads = 2;
    return shape;
}

TEST(AttentionSpeed, EveryFormatOfEveryModeRuns) {
    for (const Mode mode : {Mode::rotated, Mode::kivi, Mode::per_token_asym}) {
        SpeedShape shape = small_shape();
        shape.mode       = mode;
        // A clock on which every run takes one second.
        double     now   = 0;
        const auto costs = measure_attention(shape, no_progress(), [&now] { return now += 1; });
        ASSERT_TRUE(costs.ok()) << costs.error().message;
        EXPECT_TRUE(costs->same_inputs(*speed_inputs(shape)));
        EXPECT_NEAR(costs->f16, 0.5, 1e-9) << "two layers in a second";
        for (size_t i = 0; i < kCodeWidths.size(); ++i) EXPECT_NEAR(costs->k[i] + costs->v[i], 0.5, 1e-9);
        EXPECT_NEAR(costs->worst_sum, 0.0, 1e-9);
    }
}

TEST(AttentionSpeed, LongContextsAreScaled) {
    SpeedShape shape = small_shape();
    shape.n_cells    = 65536;  // four times what is measured
    double     now   = 0;
    const auto costs = measure_attention(shape, no_progress(), [&now] { return now += 1; });
    ASSERT_TRUE(costs.ok());
    EXPECT_NEAR(costs->f16, 2.0, 1e-9);
}

TEST(AttentionSpeed, TheSlowestOfRepetitionsDoesNotCount) {
    double     now           = 0;
    int        call          = 0;
    const auto slow_at_first = measure_attention(small_shape(), no_progress(), [&] { return now += ++call < 20 ? 100 : 1; });
    ASSERT_TRUE(slow_at_first.ok());
    EXPECT_NEAR(slow_at_first->f16, 0.5, 1e-9);
}

}  // namespace
}  // namespace kvt::testing
