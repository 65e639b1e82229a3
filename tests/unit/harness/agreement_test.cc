#include "kvt/harness/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/fake_runner.h"

namespace kvt {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;
using ::testing::HasSubstr;

AgreementOptions options(const FakeRunner & runner, std::vector<int> bits) {
    AgreementOptions o;
    o.n_tokens = 40;
    for (const int b : bits) o.plans.push_back({"KV" + std::to_string(b), uniform_plan(runner.info(), Mode::kivi, b, b)});
    return o;
}

TEST(Agreement, FewerBitsDifferSooner) {
    FakeRunner runner(50, 0.004);
    const auto prompts = *cut_prompts(runner, fake_tokens(400), 10, 12);
    const auto record  = measure_agreement(runner, prompts, options(runner, {8, 2}), no_progress());
    ASSERT_TRUE(record.ok()) << record.error().message;
    ASSERT_EQ(record->rows.size(), 3u);
    EXPECT_EQ(record->rows[0].median, 40) << "the floor: 16 bits add nothing here";
    EXPECT_EQ(record->rows[0].share_equal, 1);
    EXPECT_LT(record->rows[2].mean, record->rows[1].mean);
    EXPECT_EQ(record->rows[2].first_difference.size(), 10u);
    EXPECT_TRUE(record->rows[2].interval.has_value());
    const auto json = nlohmann::json::parse(write_record(*record));
    EXPECT_EQ(json["schema"], "kvtuner.eval.agreement");
    EXPECT_TRUE(json["plans"][0]["plan_sha256"].is_null());
    EXPECT_EQ(json["plans"][2]["first_difference"].size(), 10u);
}

// The first difference is that of two whole answers, worked out token by token.
TEST(Agreement, CountsUpToTheFirstOtherToken) {
    FakeRunner runner(50, 0.01);
    const auto o       = options(runner, {4});
    const auto prompts = *cut_prompts(runner, fake_tokens(100), 4, 10);
    const auto record  = measure_agreement(runner, prompts, o, no_progress());
    ASSERT_TRUE(record.ok());
    const auto next = [&](const std::vector<Token> & history, double wave) {
        const auto row = FakeRunner::logits(history, 50, wave);
        return static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin());
    };
    for (size_t p = 0; p < prompts.size(); ++p) {
        auto history = prompts[p];
        int  n       = 0;
        while (n < o.n_tokens && next(history, 0) == next(history, runner.wave(o.plans[0].plan))) {
            history.push_back(next(history, 0));
            ++n;
        }
        EXPECT_EQ(record->rows[1].first_difference[p], n);
    }
}

TEST(CutPrompts, SpreadsPiecesOverTheText) {
    FakeRunner runner(50, 0.02, true);
    const auto text    = fake_tokens(100);
    const auto prompts = cut_prompts(runner, text, 4, 10);
    ASSERT_TRUE(prompts.ok());
    ASSERT_EQ(prompts->size(), 4u);
    EXPECT_EQ((*prompts)[2][0], runner.bos());
    EXPECT_EQ((*prompts)[2][1], text[50]);
    EXPECT_EQ((*prompts)[2].size(), 11u);
    EXPECT_THAT(cut_prompts(runner, text, 11, 10).error().message, HasSubstr("has 100 tokens, 11 prompts of 10 need 110"));
    EXPECT_FALSE(cut_prompts(runner, text, 0, 10).ok());
}

TEST(Agreement, BadRequestsAreErrors) {
    FakeRunner runner;
    EXPECT_THAT(measure_agreement(runner, {}, options(runner, {4}), no_progress()).error().message, HasSubstr("no prompts"));
    EXPECT_THAT(measure_agreement(runner, {fake_tokens(5)}, options(runner, {}), no_progress()).error().message,
                HasSubstr("no plan"));
    auto o     = options(runner, {4});
    o.n_tokens = 300;
    EXPECT_THAT(measure_agreement(runner, {fake_tokens(5)}, o, no_progress()).error().message,
                HasSubstr("exceed the 256 tokens"));
    o                   = options(runner, {4});
    runner.refuse_plans = true;
    EXPECT_THAT(measure_agreement(runner, {fake_tokens(5)}, o, no_progress()).error().message, HasSubstr("refused"));
}

}  // namespace
}  // namespace kvt
