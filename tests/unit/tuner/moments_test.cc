// Moments of a model whose keys, values and queries are known, against sums over the same tokens.
#include "kvt/tuner/calibrate/moments.h"

#include <gtest/gtest.h>

#include "support/tap_runner.h"

namespace kvt::testing {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kSequence = 256;

struct Expected {
    VectorXd mean;
    MatrixXd spread, second;  // second: mean of x x^T
};

// Over sequences that start at these positions, without the first `skipped` tokens of each.
Expected expected(Tap::Kind kind, int layer, const std::vector<int> & starts, int skipped) {
    Expected e{VectorXd::Zero(32), MatrixXd::Zero(32, 32), MatrixXd::Zero(32, 32)};
    double   n = 0;
    for (const int start : starts) {
        for (int t = skipped; t < kSequence; ++t) {
            VectorXd x(32);
            for (int d = 0; d < 32; ++d) x(d) = static_cast<double>(TapRunner::value(kind, layer, start + t, d));
            e.mean += x;
            e.second += x * x.transpose();
            n += 1;
        }
    }
    e.mean /= n;
    e.second /= n;
    e.spread = e.second - e.mean * e.mean.transpose();
    return e;
}

double distance(const MatrixXd & a, const MatrixXd & b) { return (a - b).cwiseAbs().maxCoeff(); }

void expect_moments(int n_tokens, int positions, const std::vector<int> & starts) {
    TapRunner  runner;
    const auto moments = measure_moments(runner, fake_tokens(static_cast<size_t>(n_tokens)), positions, 1, no_progress());
    ASSERT_TRUE(moments.ok()) << moments.error().message;
    EXPECT_EQ(runner.decoded, static_cast<int>(starts.size()) * kSequence);
    EXPECT_EQ(runner.sessions, 1);
    ASSERT_EQ(moments->size(), 2u);
    for (int layer = 0; layer < 2; ++layer) {
        const LayerMoments & m = (*moments)[static_cast<size_t>(layer)];
        ASSERT_EQ(m.k.size(), 1u);
        ASSERT_EQ(m.v.size(), 1u);
        const Expected k = expected(Tap::Kind::k, layer, starts, kSkippedTokens),
                       v = expected(Tap::Kind::v, layer, starts, kSkippedTokens), q = expected(Tap::Kind::q, layer, starts, 0);
        EXPECT_LT(distance(m.k[0].mean, k.mean), 1e-5);
        EXPECT_LT(distance(m.k[0].spread, k.spread), 1e-5);
        EXPECT_LT(distance(m.k[0].queries, q.second), 1e-5) << "of all tokens, both query heads";
        EXPECT_LT(distance(m.v[0].mean, v.mean), 1e-5);
        EXPECT_LT(distance(m.v[0].spread, v.spread), 1e-5);
        EXPECT_EQ(m.v[0].queries.size(), 0);
    }
}

TEST(Moments, SequencesStartAtPositionsSpreadOverAll) { expect_moments(3 * kSequence + 200, 1000, {0, 372, 744}); }

TEST(Moments, OneSequenceStartsAtZero) { expect_moments(kSequence, 100000, {0}); }

TEST(Moments, FewPositionsAreCoveredByEverySequence) { expect_moments(2 * kSequence, 100, {0, 0}); }

TEST(Moments, TheFirstTokensAreLeftOut) {
    // With them the mean would differ by far more than rounding.
    const Expected with = expected(Tap::Kind::k, 1, {0}, 0), without = expected(Tap::Kind::k, 1, {0}, kSkippedTokens);
    EXPECT_GT(distance(with.mean, without.mean), 1e-3);
}

TEST(Moments, RefusesWhatCannotBeMeasured) {
    TapRunner  runner;
    const auto few = measure_moments(runner, fake_tokens(kSequence - 1), 512, 1, no_progress());
    ASSERT_FALSE(few.ok());
    EXPECT_EQ(few.error().message, "255 tokens of calibration text: at least 256 are needed");
    EXPECT_EQ(runner.sessions, 0);

    runner.silent     = true;
    const auto silent = measure_moments(runner, fake_tokens(kSequence), 512, 1, no_progress());
    ASSERT_FALSE(silent.ok());
    EXPECT_EQ(silent.error().message, "layer 0 showed no keys, values or queries: this model's attention cannot be calibrated");

    TapRunner failing;
    failing.fail_session = 1;
    const auto failed    = measure_moments(failing, fake_tokens(kSequence), 512, 1, no_progress());
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().message, "planted failure");
}

}  // namespace
}  // namespace kvt::testing
