#include "kvt/base/fp16.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"

namespace kvt {
namespace {

TEST(Fp16, KnownValues) {
    EXPECT_EQ(f32_to_f16(0.0f), 0x0000);
    EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
    EXPECT_EQ(f32_to_f16(1.0f), 0x3c00);
    EXPECT_EQ(f32_to_f16(-2.0f), 0xc000);
    EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
    EXPECT_EQ(f32_to_f16(65519.99f), 0x7bff);
    EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
    EXPECT_EQ(f32_to_f16(0x1.0p-24f), 0x0001);
    EXPECT_EQ(f32_to_f16(0x1.0p-25f), 0x0000);       // tie to even
    EXPECT_EQ(f32_to_f16(0x1.000002p-25f), 0x0001);  // just above the tie
    EXPECT_EQ(f32_to_f16(0x1.8p-24f), 0x0002);       // tie to even, upwards
    EXPECT_EQ(f32_to_f16(1.0f + 0x1.0p-11f), 0x3c00);
    EXPECT_EQ(f32_to_f16(1.0f + 0x1.8p-10f), 0x3c02);
    EXPECT_EQ(f32_to_f16(0x1.ffffffp-15f), 0x0400);  // a subnormal that rounds up to the smallest normal
    EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::numeric_limits<float>::quiet_NaN()))));
    EXPECT_FALSE(f16_is_finite(0x7c00));
    EXPECT_TRUE(f16_is_finite(0xfbff));
}

TEST(Fp16, EveryHalfSurvivesTheRoundTrip) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto  half  = static_cast<f16_t>(bits);
        const float value = f16_to_f32(half);
        if (f16_is_finite(half)) {
            ASSERT_EQ(f32_to_f16(value), half) << bits;
        } else {
            ASSERT_EQ(std::isnan(value), (bits & 0x3ff) != 0) << bits;
            ASSERT_FALSE(f16_is_finite(f32_to_f16(value))) << bits;
        }
    }
}

#ifdef __FLT16_MANT_DIG__  // not in clang 14 on x86
// The compiler's own conversion is the second opinion: _Float16 rounds to nearest even in libgcc and with F16C alike.
f16_t compiler_f16(float value) {
    const _Float16 half = static_cast<_Float16>(value);
    f16_t          bits;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}

float compiler_f32(f16_t bits) {
    _Float16 half;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}

TEST(Fp16, ReadsAsTheCompilerDoes) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto half = static_cast<f16_t>(bits);
        if (f16_is_finite(half)) {
            ASSERT_EQ(f16_to_f32(half), compiler_f32(half)) << bits;
        }
    }
}

TEST(Fp16, RoundsAsTheCompilerDoes) {
    SplitMix64 rng(1);
    for (int i = 0; i < 2'000'000; ++i) {
        const float value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
        if (std::isnan(value)) continue;
        ASSERT_EQ(f32_to_f16(value), compiler_f16(value)) << value;
    }
    for (int i = 0; i < 2'000'000; ++i) {  // exponents where halves live, and one bit around every tie
        const auto  half  = static_cast<f16_t>(rng.below(0x7c00));
        const auto  delta = static_cast<uint32_t>(rng.below(3)) + 0x0fffu;
        const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(f16_to_f32(half)) + delta);
        ASSERT_EQ(f32_to_f16(value), compiler_f16(value)) << value;
        ASSERT_EQ(f32_to_f16(-value), compiler_f16(-value)) << value;
    }
}
#endif

static_assert(f16_to_f32(f32_to_f16(0.5f)) == 0.5f);  // usable in constant expressions

}  // namespace
}  // namespace kvt
