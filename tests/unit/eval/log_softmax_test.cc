#include "kvt/eval/log_softmax.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/eval/row_kernels.h"

namespace kvt {
namespace {

// Logits whose softmax is the given distribution, shifted by a constant that must not matter.
std::vector<float> logits_of(const std::vector<double> & p, double shift) {
    std::vector<float> out;
    for (const double v : p) out.push_back(static_cast<float>(std::log(v) + shift));
    return out;
}

std::vector<float> random_row(size_t n, uint64_t seed, double spread) {
    SplitMix64         rng(seed);
    std::vector<float> row(n);
    for (float & v : row) v = static_cast<float>((rng.uniform() + rng.uniform() + rng.uniform() - 1.5) * spread);
    return row;
}

TEST(LogSoftmax, LogSumExpOfKnownRows) {
    EXPECT_NEAR(log_sum_exp(std::vector<float>{0, 0, 0, 0}), std::log(4.0), 1e-15);
    EXPECT_NEAR(log_sum_exp(std::vector<float>{1000, 1000}), 1000 + std::log(2.0), 1e-12);
    EXPECT_NEAR(log_sum_exp(std::vector<float>{-1e30f, 5}), 5, 1e-15);
}

TEST(LogSoftmax, ArgmaxTakesTheLowestIndexOnATie) {
    EXPECT_EQ(argmax(std::vector<float>{1, 7, 3, 7}), 1);
    std::vector<float> row(100, 0.0f);
    row[99] = 1;
    EXPECT_EQ(argmax(row), 99);
}

TEST(LogSoftmax, DivergenceOfTwoCoins) {
    // KL((0.5, 0.5) || (0.25, 0.75)) = 0.5 ln 2 + 0.5 ln(2/3) = 0.5 ln(4/3)
    const auto ref = logits_of({0.5, 0.5}, 3), cand = logits_of({0.25, 0.75}, -11);
    EXPECT_NEAR(kl_divergence(ref, log_sum_exp(ref), cand, log_sum_exp(cand)), 0.5 * std::log(4.0 / 3.0), 1e-6);
    EXPECT_EQ(kl_divergence(ref, log_sum_exp(ref), ref, log_sum_exp(ref)), 0);
}

TEST(LogSoftmax, RoundingBelowZeroBecomesZeroAndMoreDoesNot) {
    EXPECT_EQ(clamp_rounding(-5e-10), 0);
    EXPECT_EQ(clamp_rounding(-2e-9), -2e-9);
    EXPECT_EQ(clamp_rounding(0.25), 0.25);
}

TEST(LogSoftmax, CompatRuleLeavesOutSmallTerms) {
    // ln p = -17 is dropped: only the first term remains.
    const std::vector<float> log_p{std::log(0.5f), -17.0f};
    const auto               cand = logits_of({0.25, 0.75}, 0);
    EXPECT_NEAR(kl_divergence_compat(log_p, cand, log_sum_exp(cand)), 0.5 * std::log(2.0), 1e-6);
}

TEST(LogSoftmax, NotFiniteLogitsAreSeen) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        auto row = random_row(77, 3, 5);
        row[40]  = bad;
        std::vector<float> p(row.size());
        const auto         clean = random_row(77, 4, 5);
        EXPECT_FALSE(std::isfinite(log_sum_exp(row)));
        const auto ref = fast_reference(clean, p);
        EXPECT_FALSE(std::isfinite(fast_kl_divergence(ref, p, row)));
        EXPECT_FALSE(std::isfinite(fast_reference(row, p).negative_entropy));
    }
}

// Row lengths around the block of 16 and a real vocabulary; spreads from flat to peaked.
TEST(LogSoftmax, FastPathAgreesWithTheSpecification) {
    for (const size_t n : {1u, 2u, 15u, 16u, 17u, 33u, 512u, 49152u}) {
        for (const double spread : {0.0, 1.0, 8.0, 40.0}) {
            const auto ref  = random_row(n, n + 1, spread);
            auto       cand = ref;
            const auto wave = random_row(n, n + 2, 0.3);
            for (size_t i = 0; i < n; ++i) cand[i] += wave[i];
            std::vector<float> p(n);
            const double       exact = kl_divergence(ref, log_sum_exp(ref), cand, log_sum_exp(cand));
            const double       fast  = fast_kl_divergence(fast_reference(ref, p), p, cand);
            EXPECT_NEAR(fast, exact, 1e-6) << "n " << n << " spread " << spread;
        }
    }
}

TEST(LogSoftmax, FastDivergenceFromItselfIsZero) {
    const auto         row = random_row(49152, 9, 12);
    std::vector<float> p(row.size());
    const auto         ref = fast_reference(row, p);
    EXPECT_NEAR(fast_kl_divergence(ref, p, row), 0, 1e-8);  // p is rounded to float: 1e-9 seen, a hundredth of what is allowed
}

TEST(RowKernels, ExpIsWithinTwoUlpOverItsRange) {
    std::vector<float> x, w;
    for (double v = 0; v > -86.9; v -= 0.00137) x.push_back(static_cast<float>(v));
    w.resize(x.size());
    double sum = 0, weighted = 0;
    for (const RowKernels * k : {&base_row_kernels(), avx2_row_kernels()}) {
        if (k == nullptr) continue;
        k->exp_row(x.data(), x.size(), 0, w.data(), &sum, &weighted);
        for (size_t i = 0; i < x.size(); ++i) {
            const double exact = std::exp(static_cast<double>(x[i]));
            ASSERT_NEAR(static_cast<double>(w[i]) / exact, 1.0, 2.4e-7) << k->name << " exp(" << x[i] << ")";
        }
    }
}

TEST(RowKernels, FiniteSeesOneBadNumberAnywhere) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    for (const RowKernels * k : {&base_row_kernels(), avx2_row_kernels()}) {
        if (k == nullptr) continue;
        std::vector<float> x(37, 0.0f);
        x[3] = std::numeric_limits<float>::max(), x[20] = std::numeric_limits<float>::denorm_min();
        EXPECT_TRUE(k->finite(x.data(), x.size())) << k->name;
        for (const size_t at : {0u, 15u, 16u, 31u, 32u, 36u}) {
            for (const float bad : {kInf, -kInf, std::nanf("")}) {
                const float kept = std::exchange(x[at], bad);
                EXPECT_FALSE(k->finite(x.data(), x.size())) << k->name << " " << bad << " at " << at;
                EXPECT_TRUE(k->finite(x.data(), at)) << k->name;
                x[at] = kept;
            }
        }
    }
}

TEST(RowKernels, AllVariantsAgree) {
    if (avx2_row_kernels() == nullptr) GTEST_SKIP() << "this machine has no AVX2";
    for (const size_t n : {1u, 16u, 31u, 1000u}) {
        const auto         x = random_row(n, n, 20), p = random_row(n, n + 7, 1);
        std::vector<float> w(n);
        const float        max = base_row_kernels().max(x.data(), n);
        EXPECT_EQ(max, avx2_row_kernels()->max(x.data(), n));
        double s0 = 0, c0 = 0, s1 = 0, c1 = 0;
        base_row_kernels().cross_row(x.data(), p.data(), n, max, &s0, &c0);
        avx2_row_kernels()->cross_row(x.data(), p.data(), n, max, &s1, &c1);
        EXPECT_NEAR(s1 / s0, 1.0, 1e-6);
        EXPECT_NEAR(c0, c1, 1e-9 * static_cast<double>(n) * 60);
    }
}

}  // namespace
}  // namespace kvt
