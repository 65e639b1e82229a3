#include "kvt/quant/codec.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

// Encodes the rows of one tile in whatever way the format asks for and returns the decoded rows.
std::vector<float> round_trip(const Format & f, Side side, int head_dim, const std::vector<float> & rows) {
    std::vector<uint8_t> tile(tile_bytes(f, side, head_dim));
    if (f.store == Store::sealed_block) {
        EXPECT_EQ(encode_tile(f, side, head_dim, test::make_f16_tile(rows, side, head_dim).data(), test::kAllValid, nullptr,
                              tile.data()),
                  Encoded::ok);
    } else {
        for (int t = 0; t < tile_tokens(f); ++t) {
            EXPECT_EQ(encode_token(f, side, head_dim, t, &rows[static_cast<size_t>(t * head_dim)], nullptr, tile.data()),
                      Encoded::ok);
        }
    }
    std::vector<float> out(rows.size());
    for (int t = 0; t < tile_tokens(f); ++t)
        decode_token(f, side, head_dim, t, tile.data(), &out[static_cast<size_t>(t * head_dim)]);
    return out;
}

// Worked by hand: 0 1 2 3 at 2 bits is exact with s = 1, z = 0; 0 .. 3 in steps of 0.5 rounds half to even.
TEST(Codec, PaperQuantizerByHand) {
    const Format         f{Codec::int_asym, 2, Axis::per_token, Store::on_write, 4};
    const float          row[4] = {-1.0f, 0.0f, 1.0f, 2.0f};
    std::vector<uint8_t> tile(tile_bytes(f, Side::key, 4));
    ASSERT_EQ(encode_token(f, Side::key, 4, 7, row, nullptr, tile.data()), Encoded::ok);
    float out[4];
    decode_token(f, Side::key, 4, 7, tile.data(), out);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], row[i]);

    const float halves[4] = {0.0f, 0.5f, 1.5f, 3.0f};  // 0.5 -> 0 and 1.5 -> 2: ties to even
    ASSERT_EQ(encode_token(f, Side::key, 4, 7, halves, nullptr, tile.data()), Encoded::ok);
    decode_token(f, Side::key, 4, 7, tile.data(), out);
    EXPECT_EQ(out[1], 0.0f);
    EXPECT_EQ(out[2], 2.0f);
    EXPECT_EQ(out[3], 3.0f);
}

TEST(Codec, ConstantGroupsComeBackInStoragePrecision) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 64)) {
            if (f.params == Params::byte) continue;  // their range holds 0: byte_params_test.cc
            const std::vector<float> rows = test::make_values(Shape::constant, tile_tokens(f), 64, 1);
            for (const float x : round_trip(f, side, 64, rows)) ASSERT_EQ(x, f16_to_f32(f32_to_f16(0.7f))) << format_name(f);
        }
    }
}

TEST(Codec, ErrorIsBoundedByHalfAStep) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : {32, 64, 80, 128}) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                if (f.codec == Codec::f16 || f.params == Params::byte) continue;
                for (const Shape shape : test::all_shapes()) {
                    const std::vector<float> rows = test::make_values(shape, tile_tokens(f), head_dim, 3);
                    const std::vector<float> out  = round_trip(f, side, head_dim, rows);
                    for (int t = 0; t < tile_tokens(f); ++t) {
                        for (int d = 0; d < head_dim; ++d) {
                            // Range of the group of (t, d).
                            float     lo = std::numeric_limits<float>::infinity(), hi = -lo, top = 0;
                            const int first = f.axis == Axis::per_channel ? 0 : d / f.group * f.group;
                            const int last  = f.axis == Axis::per_channel ? tile_tokens(f) : std::min(head_dim, first + f.group);
                            for (int i = first; i < last; ++i) {
                                const float x = f.axis == Axis::per_channel ? rows[static_cast<size_t>(i * head_dim + d)]
                                                                            : rows[static_cast<size_t>(t * head_dim + i)];
                                lo            = std::min(lo, x);
                                hi            = std::max(hi, x);
                                top           = std::max(top, std::abs(x));
                            }
                            // Half a step, plus f16 rounding of x, z and of s over all its steps, plus f16's smallest step.
                            const float step  = (hi - lo) / static_cast<float>((1 << f.bits) - 1);
                            const float bound = 0.5f * step + 2.0f * top * 0x1p-11f + (hi - lo) * 0x1p-11f +
                                                static_cast<float>(1 << f.bits) * 0x1p-24f;
                            const size_t i = static_cast<size_t>(t * head_dim + d);
                            ASSERT_LE(std::abs(out[i] - rows[i]), bound) << format_name(f) << " t " << t << " d " << d;
                        }
                    }
                }
            }
        }
    }
}

TEST(Codec, NonFiniteGroupsDecodeToNaNAndAreReported) {
    const Format f = mode_format(Mode::per_token_asym, Side::key, 4, 64);
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e6f}) {
        std::vector<float>   row(64, 1.0f);
        std::vector<uint8_t> tile(tile_bytes(f, Side::key, 64));
        row[10] = bad;
        row[11] = -bad;
        EXPECT_EQ(encode_token(f, Side::key, 64, 0, row.data(), nullptr, tile.data()), Encoded::not_finite);
        decode_token(f, Side::key, 64, 0, tile.data(), row.data());
        for (const float x : row) EXPECT_TRUE(std::isnan(x));
    }
}

TEST(Codec, TokensOutsideOfTheValidMaskTakeNoPart) {
    const Format       f    = mode_format(Mode::kivi, Side::key, 4, 32);
    std::vector<float> rows = test::make_values(Shape::normal, kBlockTokens, 32, 5);
    for (int t = 8; t < kBlockTokens; ++t) {
        for (int d = 0; d < 32; ++d) rows[static_cast<size_t>(t * 32 + d)] = 500.0f;
    }
    std::vector<uint8_t> tile(tile_bytes(f, Side::key, 32));
    const uint32_t       first_eight = 0xffu;
    ASSERT_EQ(encode_tile(f, Side::key, 32, test::make_f16_tile(rows, Side::key, 32).data(), &first_eight, nullptr, tile.data()),
              Encoded::ok);
    float row[32];
    for (int t = 0; t < 8; ++t) {
        decode_token(f, Side::key, 32, t, tile.data(), row);
        for (int d = 0; d < 32; ++d) EXPECT_NEAR(row[d], rows[static_cast<size_t>(t * 32 + d)], 0.15f);  // range < 4, 15 steps
    }
}

TEST(Codec, OneTokenAtATimeGivesTheSameBytesAsABlock) {
    const Format sealed{Codec::int_asym, 4, Axis::per_token, Store::sealed_block, 32};
    for (const Side side : {Side::key, Side::value}) {
        std::vector<float> rows = test::make_values(Shape::outlier_channel, kBlockTokens, 64, 9);
        for (float & x : rows) x = f16_to_f32(f32_to_f16(x));  // a block waits at 16 bits
        std::vector<uint8_t> block(tile_bytes(sealed, side, 64)), tokens(block.size());
        encode_tile(sealed, side, 64, test::make_f16_tile(rows, side, 64).data(), test::kAllValid, nullptr, block.data());
        for (int t = kBlockTokens - 1; t >= 0; --t)
            encode_token(sealed, side, 64, t, &rows[static_cast<size_t>(t * 64)], nullptr, tokens.data());
        EXPECT_EQ(block, tokens);
    }
}

}  // namespace
}  // namespace kvt
