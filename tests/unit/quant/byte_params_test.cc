// Byte parameters: a scale of 5 exponent and 3 mantissa bits, an offset in 256ths of the span (quant/codec.h).
#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/quant/codec.h"
#include "support/inputs.h"

namespace kvt {
namespace {

constexpr int kHeadDim = 16;

Format byte_format(int bits) { return mode_format(Mode::rotated, Side::key, bits, kHeadDim); }

// What is stored of a row as token 5, and what comes back.
struct Stored {
    Encoded result;
    int     scale, offset;
    float   row[kHeadDim];
};

Stored store(int bits, const std::vector<float> & row) {
    const Format         f = byte_format(bits);
    std::vector<uint8_t> tile(tile_bytes(f, Side::key, kHeadDim));
    Stored               s;
    s.result = encode_token(f, Side::key, kHeadDim, 5, row.data(), nullptr, tile.data());
    s.scale  = tile[tile_scales_at(f, Side::key, kHeadDim) + 5];
    s.offset = tile[tile_offsets_at(f, Side::key, kHeadDim) + 5];
    decode_token(f, Side::key, kHeadDim, 5, tile.data(), s.row);
    return s;
}

// A row of zeros but for its first two elements.
std::vector<float> row_of(float a, float b) {
    std::vector<float> row(kHeadDim, 0.0f);
    row[0] = a;
    row[1] = b;
    return row;
}

constexpr int   scale_byte(float s) { return static_cast<int>(f32_to_f16(s) >> 7); }
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

// Worked by hand. n = 2^bits - 1, w = (hi - lo) * shrink, s = w / n rounded to 3 mantissa bits, offset = -start / (s 2^bits /
// 256) with start = middle - s n / 2.
TEST(ByteParams, ParametersByHand) {
    const struct {
        const char * what;
        int          bits;
        float        a, b, s;
        int          offset;
    } cases[] = {
        // w = 255, s = 1, start = -127.5: 127.5 goes to the even neighbour.
        {"no shrink at 8 bits", 8, -127.5f, 127.5f, 1.0f, 128},
        // w / n = 2 * 0.95 / 15 = 0.12667 = 1.01333 / 8 -> 1 / 8; start = -0.9375, unit = 1/128.
        {"5 % off at 4 bits", 4, -1.0f, 1.0f, 0.125f, 120},
        // w / n = 2 * 0.9 / 7 = 0.25714 = 1.02857 / 4 -> 1 / 4; start = -0.875, unit = 1/128.
        {"10 % off at 3 bits", 3, -1.0f, 1.0f, 0.25f, 112},
        // w / n = 2 * 0.8 / 3 = 0.53333 = 1.06667 / 2, above the middle of 1 and 1.125 -> 0.5625; start = -0.84375, unit =
        // 0.5625/64.
        {"20 % off at 2 bits", 2, -1.0f, 1.0f, 0.5625f, 96},
        // 1 / 63 = 1.01587 / 64 goes up: 1.125 / 64; start = 0.5 - 31.5 * 1.125 / 64 = -0.0537, unit = 1.125 / 256.
        {"6 bits round up", 6, 1.0f, 0.5f, 1.125f / 64.0f, 12},
        // 2.04 / 255 = 0.008 = 1.024 / 128 goes up.
        {"8 bits round up", 8, -1.02f, 1.02f, 1.125f / 128.0f, 128},
        // 31 / 31 = 1 at 5 bits; the range is 0 .. 31 although the smallest element is 10: start = 0.
        {"zero belongs to a positive range", 5, 10.0f, 31.0f, 1.0f, 0},
        // Start = -31, unit = 1/8: 248.
        {"zero belongs to a negative range", 5, -31.0f, -10.0f, 1.0f, 248},
    };
    for (const auto & c : cases) {
        std::vector<float> row = row_of(c.a, c.b);
        for (size_t i = 2; i < row.size(); ++i) row[i] = row[1];  // no zero of its own
        const Stored stored = store(c.bits, row);
        EXPECT_EQ(stored.result, Encoded::ok) << c.what;
        EXPECT_EQ(stored.scale, scale_byte(c.s)) << c.what;
        EXPECT_EQ(stored.offset, c.offset) << c.what;
        const float z = -static_cast<float>(c.offset) * c.s * static_cast<float>(1 << c.bits) / 256.0f;
        const float q = std::clamp(std::nearbyint((c.a - z) / c.s), 0.0f, static_cast<float>((1 << c.bits) - 1));
        EXPECT_EQ(stored.row[0], q * c.s + z) << c.what;
    }
}

TEST(ByteParams, TheScaleSaturatesAndThenIsRefused) {
    const struct {
        const char * what;
        float        a, b;  // w / n = (b - a) * 0.95 / 15
        Encoded      result;
        int          scale;
    } cases[] = {
        {"largest scale", -485000.0f, 485000.0f, Encoded::ok, 247},
        {"rounds beyond it", -515000.0f, 515000.0f, Encoded::ok, 247},
        {"no finite f16", -520000.0f, 520000.0f, Encoded::not_finite, 0x7e00 >> 7},
        {"infinite", -1.0f, kInf, Encoded::not_finite, 0x7e00 >> 7},
        {"not a number", kNaN, 1.0f, Encoded::not_finite, 0x7e00 >> 7},
    };
    for (const auto & c : cases) {
        const Stored stored = store(4, row_of(c.a, c.b));
        EXPECT_EQ(stored.result, c.result) << c.what;
        EXPECT_EQ(stored.scale, c.scale) << c.what;
        for (int d = 0; d < kHeadDim; ++d) {
            if (c.result == Encoded::ok) {
                EXPECT_TRUE(std::isfinite(stored.row[d])) << c.what;
            } else {
                EXPECT_TRUE(std::isnan(stored.row[d])) << c.what;
            }
        }
    }
}

TEST(ByteParams, ARangeBelowTheSmallestScaleReadsBackAsZero) {
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        for (const float size : {0.0f, 1e-9f}) {
            const Stored stored = store(bits, row_of(-size, size));
            EXPECT_EQ(stored.result, Encoded::ok);
            EXPECT_EQ(stored.scale, 0);
            EXPECT_EQ(stored.offset, 0);
            for (const float x : stored.row) EXPECT_EQ(x, 0.0f) << bits;
        }
    }
}

// Inside of the span the error is half a step. What shrink and the rounding of the scale leave outside is shared by both ends, to
// the unit of the offset, unless the offset is at its end: then the span starts at 0 or lies below it.
TEST(ByteParams, ErrorIsBoundedByTheStepAndByWhatIsOutsideOfTheSpan) {
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        const float n = static_cast<float>((1 << bits) - 1);
        for (const test::Shape shape : test::all_shapes()) {
            const auto rows = test::make_values(shape, kBlockTokens, kHeadDim, 3);
            for (int t = 0; t < kBlockTokens; ++t) {
                const std::vector<float> row(rows.begin() + t * kHeadDim, rows.begin() + (t + 1) * kHeadDim);
                const float              lo     = std::min(0.0f, *std::min_element(row.begin(), row.end()));
                const float              hi     = std::max(0.0f, *std::max_element(row.begin(), row.end()));
                const Stored             stored = store(bits, row);
                ASSERT_EQ(stored.result, Encoded::ok);
                const float s     = f16_to_f32(static_cast<f16_t>(stored.scale << 7)),
                            unit  = s * static_cast<float>(1 << bits) / 256.0f;
                const float z     = -static_cast<float>(stored.offset) * unit;
                const float below = z - lo, above = hi - (z + n * s), slack = 1e-5f * (hi - lo);
                // The scale is at most 1/8 above the wanted one, or 2^-17 where scales are subnormal.
                ASSERT_LE(s, (hi - lo) * range_shrink(bits) / n * 1.13f + 0x1p-17f);
                if (stored.offset > 0 && stored.offset < 255) {
                    ASSERT_LE(std::abs(below - above), unit + slack) << bits << " t " << t;
                }
                for (int d = 0; d < kHeadDim; ++d) {
                    ASSERT_LE(std::abs(stored.row[d] - row[static_cast<size_t>(d)]), std::max({0.5f * s, below, above}) + slack)
                        << bits << " t " << t << " d " << d;
                }
            }
        }
    }
}

TEST(ByteParams, EachGroupHasItsOwnBytes) {
    const Format         f{Codec::int_asym, 4, Axis::per_token, Store::on_write, 16, Params::byte};
    std::vector<uint8_t> tile(tile_bytes(f, Side::value, 40));
    std::vector<float>   row(40, 0.0f), out(40);
    row[0]  = 1.0f;   // group 0: 0 .. 1
    row[17] = -8.0f;  // group 1: -8 .. 0
    row[39] = kNaN;   // the short last group
    EXPECT_EQ(encode_token(f, Side::value, 40, 3, row.data(), nullptr, tile.data()), Encoded::not_finite);
    decode_token(f, Side::value, 40, 3, tile.data(), out.data());
    EXPECT_NEAR(out[0], 1.0f, 0.07f);
    EXPECT_NEAR(out[17], -8.0f, 0.6f);
    for (int d = 0; d < 32; ++d) EXPECT_TRUE(std::isfinite(out[static_cast<size_t>(d)]));
    for (int d = 32; d < 40; ++d) EXPECT_TRUE(std::isnan(out[static_cast<size_t>(d)]));
    EXPECT_EQ(tile_scales_at(f, Side::value, 40) + 3 * kBlockTokens, tile_offsets_at(f, Side::value, 40));
}

}  // namespace
}  // namespace kvt
