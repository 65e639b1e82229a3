#include "kvt/eval/ppl.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/eval/log_softmax.h"
#include "support/fake_runner.h"

namespace kvt {
namespace {

using testing::fake_tokens;
using testing::FakeRunner;

TEST(EvaluatePpl, MatchesTheDefinitionForReferenceAndPlan) {
    FakeRunner runner;
    const auto tokens = fake_tokens(32 * 8);
    KldOptions options;
    options.n_ctx = 32, options.resamples = 100;
    options.plans     = {{"KV2", uniform_plan(runner.info(), Mode::kivi, 2, 2)}};
    const auto record = evaluate_ppl(runner, tokens, options, no_progress());
    ASSERT_TRUE(record.ok()) << record.error().message;
    ASSERT_EQ(record->rows.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
        double sum = 0, n = 0;
        for (size_t c = 0; c < 8; ++c) {
            for (size_t at = 16; at <= 30; ++at) {
                const auto row = FakeRunner::logits(std::span(tokens).subspan(c * 32, at + 1), 50,
                                                    i == 0 ? 0 : runner.wave(options.plans[0].plan));
                sum += log_sum_exp(row) - static_cast<double>(row[static_cast<size_t>(tokens[c * 32 + at + 1])]);
                n += 1;
            }
        }
        EXPECT_NEAR(record->rows[i].ppl.value, std::exp(sum / n), 1e-9);
    }
    EXPECT_DOUBLE_EQ(record->rows[1].payload_bits, 2);
    const auto json = nlohmann::json::parse(write_record(*record));
    EXPECT_EQ(json["schema"], "kvtuner.eval.ppl");
    EXPECT_EQ(json["rows"][1]["name"], "KV2");
}

}  // namespace
}  // namespace kvt
