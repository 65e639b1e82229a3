#include "kvt/cli/tune_forecast.h"

#include <gtest/gtest.h>

#include "kvt/tuner/pipeline.h"
#include "support/fake_runner.h"

namespace kvt::cli {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;

TEST(TuneForecast, TokensAreTimedAfterTheFirst) {
    FakeRunner model;
    double     now   = 0;
    const auto clock = [&now] { return now += 64; };  // every interval lasts 64 s
    const auto costs = measure_tokens(model, fake_tokens(500), 0, 1, clock);
    ASSERT_TRUE(costs.ok()) << costs.error().message;
    EXPECT_DOUBLE_EQ(costs->prompt, 0.5) << "128 of 160 tokens";
    EXPECT_EQ(costs->step, 0);
    EXPECT_EQ(model.calls, (std::vector<std::string>{"feed 0 32", "feed 0 128"}));
    const auto short_text = measure_tokens(model, fake_tokens(64), 0, 1, clock);
    EXPECT_DOUBLE_EQ(short_text->prompt, 2.0);
    EXPECT_FALSE(measure_tokens(model, fake_tokens(20), 0, 1, clock).ok());
}

TEST(TuneForecast, StepsOfAllSlots) {
    FakeRunner model;
    double     now   = 0;
    const auto costs = measure_tokens(model, fake_tokens(160), 3, 1, [&now] { return now += 64; });
    ASSERT_TRUE(costs.ok()) << costs.error().message;
    EXPECT_DOUBLE_EQ(costs->step, 8.0);
    EXPECT_EQ(model.calls.size(), 10u);
    EXPECT_EQ(model.calls.back(), "step 0 1 2");
}

TEST(TuneForecast, Text) {
    // 90 plans and the reference of 1000 tokens and 100 steps: 91 * (1 + 2) s; 3000 other tokens: 3 s.
    const TuneWork work{90, {1000, 100, uint64_t{1} << 29}, 3000, uint64_t{1} << 30};
    EXPECT_EQ(forecast_text(work, {0.001, 0.02}),
              "about 5 minutes (90 plans of 3.0 s or less, 3 s for calibration and held-out text), about 1.5 GiB of memory");
    EXPECT_EQ(forecast_text({10, {500, 0, 0}, 0, 0}, {0.004, 0}),
              "about 22 s (10 plans of 2.0 s, 0 s for calibration and held-out text), about 0.0 GiB of memory");
}

TEST(TuneForecast, CostOfScoringAText) {
    FakeRunner  model;
    ScoringText text;
    text.text         = std::string(1000, 'a');
    text.chunk_tokens = 64;
    text.max_chunks   = 5;
    const auto cost   = kld_objective(text).cost(model);
    ASSERT_TRUE(cost.ok()) << cost.error().message;
    EXPECT_EQ(cost->prompt_tokens, 320);
    EXPECT_EQ(cost->steps, 0);
    EXPECT_EQ(cost->reference_bytes, uint64_t{5} * 31 * 50 * 4);
}

}  // namespace
}  // namespace kvt::cli
