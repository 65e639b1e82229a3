#include "kvt/eval/token_scores.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvt {
namespace {

using ::testing::HasSubstr;

std::vector<float> logs(std::initializer_list<double> p) {
    std::vector<float> out;
    for (const double v : p) out.push_back(static_cast<float>(std::log(v)));
    return out;
}

TEST(ReferenceRows, HandWorkedToken) {
    ReferenceRows rows(3, KldRule::exact);
    ASSERT_TRUE(rows.add(0, 4, logs({0.5, 0.25, 0.25})).ok());
    const auto score = rows.compare(0, 0, 4, 2, logs({0.25, 0.5, 0.25}));
    ASSERT_TRUE(score.ok());
    EXPECT_NEAR(score->kld, 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-6);
    EXPECT_NEAR(score->nll_ref, std::log(4.0), 1e-6);
    EXPECT_NEAR(score->p_cand, 0.25, 1e-6);
    EXPECT_FALSE(score->same_top);
}

TEST(ReferenceRows, CompatTakesLogProbabilities) {
    ReferenceRows rows(2, KldRule::compat);
    ASSERT_TRUE(rows.add(0, 4, logs({0.5, 0.5})).ok());
    const auto score = rows.compare(0, 0, 4, 0, logs({0.25, 0.75}));
    EXPECT_NEAR(score->kld, 0.5 * std::log(4.0 / 3.0), 1e-6);
    EXPECT_NEAR(score->p_ref, 0.5, 1e-6);
}

TEST(ReferenceRows, NamesChunkAndPositionOfBadLogits) {
    ReferenceRows rows(2, KldRule::exact);
    EXPECT_THAT(rows.add(3, 17, std::vector<float>{0, std::nanf("")}).error().message, HasSubstr("chunk 3 at position 17"));
    ASSERT_TRUE(rows.add(3, 17, std::vector<float>{0, 1}).ok());
    EXPECT_THAT(rows.compare(0, 3, 17, 0, std::vector<float>{0, INFINITY}).error().message, HasSubstr("chunk 3 at position 17"));
}

}  // namespace
}  // namespace kvt
