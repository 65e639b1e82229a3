// Properties of the quantizer over random inputs: error falls as bits rise, re-encoding decoded values changes nothing much.
#include <cmath>

#include <gtest/gtest.h>

#include "kvt/quant/codec.h"
#include "support/inputs.h"

namespace kvt {
namespace {

double mean_square_error(const Format & f, Side side, int head_dim, const std::vector<float> & rows) {
    std::vector<uint8_t> tile(tile_bytes(f, side, head_dim));
    const auto           half = test::make_f16_tile(rows, side, head_dim);
    (void)encode_tile(f, side, head_dim, half.data(), test::kAllValid, nullptr, tile.data());
    double             sum = 0;
    std::vector<float> row(static_cast<size_t>(head_dim));
    for (int t = 0; t < kBlockTokens; ++t) {
        decode_token(f, side, head_dim, t, tile.data(), row.data());
        for (int d = 0; d < head_dim; ++d) {
            const double e = row[static_cast<size_t>(d)] - f16_to_f32(half[f16_place(side, head_dim, t, d)]);
            sum += e * e;
        }
    }
    return sum / (kBlockTokens * head_dim);
}

TEST(QuantProperty, ErrorFallsAsBitsRise) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
        const int head_dim = 16 * (1 + static_cast<int>(seed % 8));
        for (const Side side : {Side::key, Side::value}) {
            for (const Mode mode : {Mode::kivi, Mode::per_token_asym, Mode::rotated}) {
                if (mode == Mode::kivi && side == Side::value && head_dim < 32) continue;
                const auto rows = test::make_values(test::Shape::outlier_channel, kBlockTokens, head_dim, seed);
                double     last = INFINITY;
                for (const int bits : {2, 3, 4, 5, 6, 8}) {
                    const double error = mean_square_error(mode_format(mode, side, bits, head_dim), side, head_dim, rows);
                    ASSERT_LT(error, last) << seed << " " << bits;
                    last = error;
                }
            }
        }
    }
}

// Channels with their own offset (what real keys have) are the case for per-channel scales.
TEST(QuantProperty, PerChannelKeysWinOnOutlierChannels) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        const auto   rows    = test::make_values(test::Shape::outlier_channel, kBlockTokens, 128, seed);
        const double channel = mean_square_error(mode_format(Mode::kivi, Side::key, 4, 128), Side::key, 128, rows);
        const double token   = mean_square_error(mode_format(Mode::per_token_asym, Side::key, 4, 128), Side::key, 128, rows);
        ASSERT_LT(channel, 0.2 * token) << seed;
    }
}

std::vector<float> decode(const Format & f, int head_dim, const std::vector<uint8_t> & tile) {
    std::vector<float> rows(static_cast<size_t>(tile_tokens(f) * head_dim));
    for (int t = 0; t < tile_tokens(f); ++t)
        decode_token(f, Side::key, head_dim, t, tile.data(), &rows[static_cast<size_t>(t * head_dim)]);
    return rows;
}

// A block that is reopened and sealed again must not drift: its extremes come back exactly, so scales stay within one f16 step.
TEST(QuantProperty, SealingDecodedValuesAgainHardlyMovesThem) {
    for (const uint16_t group : {uint16_t{32}, uint16_t{128}}) {
        for (uint64_t seed = 0; seed < 20; ++seed) {
            const Format         f{Codec::int_asym, 4, Axis::per_channel, Store::sealed_block, group};
            const auto           rows = test::make_values(test::Shape::normal, group, 64, seed);
            std::vector<uint8_t> tile(tile_bytes(f, Side::key, 64));
            const auto           seal = [&](const std::vector<float> & from) {
                (void)encode_tile(f, Side::key, 64, test::make_f16_tile(from, Side::key, 64).data(), test::kAllValid, nullptr,
                                            tile.data());
            };
            seal(rows);
            const auto once = decode(f, 64, tile);
            for (int round = 0; round < 10; ++round) seal(decode(f, 64, tile));
            const auto again = decode(f, 64, tile);
            for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(once[i], again[i], 0.02) << seed;  // steps here are about 0.2
        }
    }
}

}  // namespace
}  // namespace kvt
