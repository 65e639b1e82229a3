// Error feedback: what rounding does to one channel is made good in those still to come (quant/codec.h).
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/quant/codec.h"
#include "support/inputs.h"

namespace kvt {
namespace {

// Codes of one row with s = 1 and z = 0 (its range is 0 .. 3, 2 bits). Channels 4 .. 0:
//   q4 = 1, e4 = -0.4; F[4][3] = 1:   y3 = 0.8 + 0.4 = 1.2
//   q3 = 1, e3 = 1 - x3 = 0.2;  F[3][0] = -1:  y0 = 1.4 + 0.2 = 1.6     (with 1 - y3 = -0.2 it would be 1.2)
//   q2 = 0 and q1 = 3 are exact;  q0 = rint(1.6) = 2, without feedback 1
TEST(Feedback, RecurrenceByHand) {
    constexpr int        kStride = 16;
    const Format         f{Codec::int_asym, 2, Axis::per_token, Store::on_write, 5};
    const float          row[5] = {1.4f, 3.0f, 0.0f, 0.8f, 1.4f};
    std::vector<f16_t>   feedback(5 * kStride, 0);
    std::vector<uint8_t> tile(tile_bytes(f, Side::key, 5));
    feedback[4 * kStride + 3] = f32_to_f16(1.0f);
    feedback[3 * kStride + 0] = f32_to_f16(-1.0f);
    const auto codes          = [&] {
        std::vector<int> out;
        for (int d = 0; d < 5; ++d) out.push_back(code_at(f, Side::key, 5, 7, d, tile.data()));
        return out;
    };
    ASSERT_EQ(encode_token(f, Side::key, 5, 7, row, nullptr, tile.data()), Encoded::ok);
    EXPECT_EQ(codes(), (std::vector<int>{1, 3, 0, 1, 1}));
    ASSERT_EQ(encode_token(f, Side::key, 5, 7, row, feedback.data(), tile.data()), Encoded::ok);
    EXPECT_EQ(codes(), (std::vector<int>{2, 3, 0, 1, 1}));
}

TEST(Feedback, ZerosChangeNothing) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 48)) {
            const std::vector<float> rows = test::make_values(test::Shape::outlier_channel, tile_tokens(f), 48, 5);
            const std::vector<f16_t> none(48 * 48, 0);
            const auto               half = test::make_f16_tile(rows, side, 48);
            std::vector<uint8_t>     without(tile_bytes(f, side, 48)), with(without.size());
            for (int t = 0; f.store == Store::on_write && t < kBlockTokens; ++t) {
                (void)encode_token(f, side, 48, t, &rows[static_cast<size_t>(t * 48)], nullptr, without.data());
                (void)encode_token(f, side, 48, t, &rows[static_cast<size_t>(t * 48)], none.data(), with.data());
            }
            if (f.store == Store::sealed_block) {
                (void)encode_tile(f, side, 48, half.data(), test::kAllValid, nullptr, without.data());
                (void)encode_tile(f, side, 48, half.data(), test::kAllValid, none.data(), with.data());
            }
            EXPECT_EQ(without, with) << format_name(f);
        }
    }
}

TEST(Feedback, SixteenBitCellsTakeNoNoticeOfIt) {
    const Format             f        = f16_format();
    const std::vector<float> row      = test::make_values(test::Shape::normal, 1, 32, 6);
    const std::vector<f16_t> feedback = test::make_feedback(32, 7);
    std::vector<uint8_t>     without(tile_bytes(f, Side::key, 32)), with(without.size());
    (void)encode_token(f, Side::key, 32, 0, row.data(), nullptr, without.data());
    (void)encode_token(f, Side::key, 32, 0, row.data(), feedback.data(), with.data());
    EXPECT_EQ(without, with);
}

// Group 1 of three cannot be stored: the others are what they are when its channels feed nothing back.
TEST(Feedback, AGroupThatIsNotFiniteFeedsNothingBack) {
    const Format       f{Codec::int_asym, 4, Axis::per_token, Store::on_write, 16, Params::byte};
    std::vector<float> row      = test::make_values(test::Shape::normal, 1, 48, 8);
    std::vector<f16_t> feedback = test::make_feedback(48, 9), cut = feedback;
    for (int i = 16; i < 32; ++i) std::fill_n(cut.begin() + i * 48, 48, f16_t{0});
    std::vector<uint8_t> tile(tile_bytes(f, Side::value, 48)), expected(tile.size());
    (void)encode_token(f, Side::value, 48, 2, row.data(), cut.data(), expected.data());
    row[20] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(encode_token(f, Side::value, 48, 2, row.data(), feedback.data(), tile.data()), Encoded::not_finite);
    for (int d = 0; d < 48; ++d) {
        const int code = code_at(f, Side::value, 48, 2, d, tile.data());
        EXPECT_EQ(code, d / 16 == 1 ? 0 : code_at(f, Side::value, 48, 2, d, expected.data())) << d;
    }
}

// With H = L D L' (L unit lower triangular), e' H e = sum_j D_j (e_j + sum_{i>j} L[i][j] e_i)^2: feedback L - 1 makes each
// bracket a rounding error of its own, whatever the errors before were. H[i][j] = 0.9^|i-j| here.
TEST(Feedback, ReducesTheWeightedErrorItIsMadeFor) {
    constexpr int       n = 64;
    const auto          h = [](int i, int j) { return std::pow(0.9, std::abs(i - j)); };
    std::vector<double> lower(n * n, 0.0), diagonal(n, 0.0);
    std::vector<f16_t>  feedback(n * n, 0);
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j <= i; ++j) {
            double sum = h(i, j);
            for (int k = 0; k < j; ++k)
                sum -= lower[static_cast<size_t>(i * n + k)] * lower[static_cast<size_t>(j * n + k)] *
                       diagonal[static_cast<size_t>(k)];
            if (i == j) {
                diagonal[static_cast<size_t>(i)] = sum;
            } else {
                lower[static_cast<size_t>(i * n + j)]    = sum / diagonal[static_cast<size_t>(j)];
                feedback[static_cast<size_t>(i * n + j)] = f32_to_f16(static_cast<float>(lower[static_cast<size_t>(i * n + j)]));
            }
        }
    }
    const std::vector<float> rows = test::make_values(test::Shape::normal, kBlockTokens, n, 10);
    for (const int bits : {3, 4, 6}) {
        const Format f        = mode_format(Mode::rotated, Side::value, bits, n);
        const auto   weighted = [&](const f16_t * with) {
            std::vector<uint8_t> tile(tile_bytes(f, Side::value, n));
            double               sum = 0;
            for (int t = 0; t < kBlockTokens; ++t) {
                const float * row = &rows[static_cast<size_t>(t * n)];
                float         out[n];
                (void)encode_token(f, Side::value, n, t, row, with, tile.data());
                decode_token(f, Side::value, n, t, tile.data(), out);
                for (int i = 0; i < n; ++i) {
                    for (int j = 0; j < n; ++j) sum += double{out[i] - row[i]} * h(i, j) * double{out[j] - row[j]};
                }
            }
            return sum;
        };
        // D is 1 - 0.81: a fifth of the error, but for what the ends of the range clamp.
        EXPECT_LT(weighted(feedback.data()), 0.5 * weighted(nullptr)) << bits;
    }
}

}  // namespace
}  // namespace kvt
