#include "kvt/base/rng.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(SplitMix64, FirstNumbersOfSeedOne) {
    SplitMix64 rng(1);
    EXPECT_EQ(rng.next(), 10451216379200822465u);
    EXPECT_EQ(rng.next(), 13757245211066428519u);
    EXPECT_EQ(rng.next(), 17911839290282890590u);
}

TEST(SplitMix64, SeedsOfTexts) {
    EXPECT_EQ(fnv1a64("synth0\n0\n0"), 0x584ac6a029498fdbu);
    EXPECT_EQ(splitmix64_finaliser(0x584ac6a029498fdbu), 0x0ed28ae87431639fu);
}

TEST(SplitMix64, UniformIsInTheHalfOpenUnitInterval) {
    SplitMix64 rng(7);
    double     sum = 0;
    for (int i = 0; i < 100000; ++i) {
        const double u = rng.uniform();
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        sum += u;
    }
    EXPECT_NEAR(sum / 100000, 0.5, 0.005);  // 5.5 standard errors of 1/sqrt(12 * 100000)
}

TEST(SplitMix64, BelowReachesEveryValue) {
    SplitMix64 rng(3);
    int        seen[5] = {};
    for (int i = 0; i < 1000; ++i) ++seen[rng.below(5)];
    for (const int count : seen) EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace kvt
