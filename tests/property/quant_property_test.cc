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
    (void)encode_tile(f, side, head_dim, half.data(), 0xffffffffu, tile.data());
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
            for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
                if (mode == Mode::kivi && side == Side::value && head_dim < 32) continue;
                const auto   rows = test::make_values(test::Shape::outlier_channel, kBlockTokens, head_dim, seed);
                const double e2   = mean_square_error(mode_format(mode, side, 2, head_dim), side, head_dim, rows);
                const double e4   = mean_square_error(mode_format(mode, side, 4, head_dim), side, head_dim, rows);
                const double e8   = mean_square_error(mode_format(mode, side, 8, head_dim), side, head_dim, rows);
                ASSERT_LT(e4, e2) << seed;
                ASSERT_LT(e8, e4) << seed;
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

// A block that is reopened and sealed again must not drift: its extremes come back exactly, so scales stay within one f16 step.
TEST(QuantProperty, SealingDecodedValuesAgainHardlyMovesThem) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        const Format         f    = mode_format(Mode::kivi, Side::key, 4, 64);
        auto                 rows = test::make_values(test::Shape::normal, kBlockTokens, 64, seed);
        std::vector<uint8_t> tile(tile_bytes(f, Side::key, 64));
        (void)encode_tile(f, Side::key, 64, test::make_f16_tile(rows, Side::key, 64).data(), 0xffffffffu, tile.data());
        std::vector<float> once(64 * 32), again(64 * 32);
        decode_tile(f, Side::key, 64, tile.data(), once.data());
        for (int round = 0; round < 10; ++round) {
            std::vector<f16_t> half(once.size());
            decode_tile(f, Side::key, 64, tile.data(), again.data());
            for (size_t i = 0; i < half.size(); ++i) half[i] = f32_to_f16(again[i]);
            (void)encode_tile(f, Side::key, 64, half.data(), 0xffffffffu, tile.data());
        }
        decode_tile(f, Side::key, 64, tile.data(), again.data());
        for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(once[i], again[i], 0.02) << seed;  // 4-bit steps here are about 0.2
    }
}

}  // namespace
}  // namespace kvt
