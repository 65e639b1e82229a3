// Every kernel of every ISA this machine has, against the scalar table; the ISA is in the test's name.
#include "kvt/kernels/kernel_table.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

class Kernels : public testing::TestWithParam<Isa> {
protected:
    const KernelTable & table() const { return *kernel_table(GetParam()); }
};

const int kHeadDims[] = {8, 16, 32, 40, 64, 72, 80, 96, 112, 128, 256};

TEST_P(Kernels, IsTheOneAskedFor) { EXPECT_EQ(table().isa, GetParam()); }

TEST_P(Kernels, EncodeTokenGivesTheReferencesBytes) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                if (f.store == Store::sealed_block) continue;
                const TileSpec spec = make_tile_spec(f, side, head_dim);
                for (const Shape shape : test::all_shapes()) {
                    auto                 rows = test::make_values(shape, kBlockTokens, head_dim, 21);
                    std::vector<uint8_t> expected(spec.bytes), got(spec.bytes);
                    for (int t = 0; t < kBlockTokens; ++t) {
                        const float * row = &rows[static_cast<size_t>(t * head_dim)];
                        const Encoded e0  = kKernelsScalar.encode_token(spec, t, row, expected.data());
                        const Encoded e1  = table().encode_token(spec, t, row, got.data());
                        ASSERT_EQ(e0, e1);
                    }
                    ASSERT_EQ(expected, got) << format_name(f) << " d" << head_dim;
                }
            }
        }
    }
}

TEST_P(Kernels, EncodeTokenAgreesOnNonFiniteInput) {
    for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN(), -70000.0f, 1e38f}) {
        for (const Side side : {Side::key, Side::value}) {
            for (const int at : {0, 7, 63, 71}) {
                const TileSpec spec = make_tile_spec(Format{Codec::int_asym, 4, Axis::per_token, Store::on_write, 72}, side, 72);
                auto           row  = test::make_values(Shape::normal, 1, 72, 2);
                std::vector<uint8_t> expected(spec.bytes), got(spec.bytes);
                row[static_cast<size_t>(at)] = bad;
                ASSERT_EQ(kKernelsScalar.encode_token(spec, 5, row.data(), expected.data()), Encoded::not_finite);
                ASSERT_EQ(table().encode_token(spec, 5, row.data(), got.data()), Encoded::not_finite);
                ASSERT_EQ(expected, got);
            }
        }
    }
}

TEST_P(Kernels, EncodeTileGivesTheReferencesBytes) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            for (const int bits : {2, 4, 8}) {
                if (side == Side::value && head_dim < 32) continue;
                const TileSpec spec = make_tile_spec(mode_format(Mode::kivi, side, bits, head_dim), side, head_dim);
                for (const Shape shape : test::all_shapes()) {
                    const auto half = test::make_f16_tile(test::make_values(shape, kBlockTokens, head_dim, 31), side, head_dim);
                    for (const uint32_t valid : {0xffffffffu, 0x0000000fu, 0x80000001u, 0u}) {
                        std::vector<uint8_t> expected(spec.bytes, 0xaa), got(spec.bytes, 0x55);
                        ASSERT_EQ(kKernelsScalar.encode_tile(spec, half.data(), valid, expected.data()),
                                  table().encode_tile(spec, half.data(), valid, got.data()));
                        ASSERT_EQ(expected, got) << format_name(spec.format) << " d" << head_dim << " valid " << valid;
                    }
                }
            }
        }
    }
}

TEST_P(Kernels, DecodeGivesTheReferencesFloats) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                const TileSpec       spec = make_tile_spec(f, side, head_dim);
                SplitMix64           rng(static_cast<uint64_t>(head_dim));
                std::vector<uint8_t> tile(spec.bytes + 64);
                for (uint8_t & b : tile) b = static_cast<uint8_t>(rng.next() & 0x3f);  // any codes; halves stay finite
                const size_t       n = 32 * static_cast<size_t>(side == Side::key ? head_dim : spec.stride);
                std::vector<float> expected(n), got(n);
                kKernelsScalar.decode(spec, tile.data(), expected.data());
                table().decode(spec, tile.data(), got.data());
                for (int t = 0; t < kBlockTokens; ++t) {
                    for (int d = 0; d < head_dim; ++d) {
                        const size_t i = static_cast<size_t>(side == Side::key ? d * kBlockTokens + t : t * spec.stride + d);
                        ASSERT_EQ(expected[i], got[i]) << format_name(f) << " d" << head_dim << " (" << t << ", " << d << ")";
                    }
                }
            }
        }
    }
}

TEST_P(Kernels, QkMatchesADoubleSum) {
    for (const int head_dim : kHeadDims) {
        for (const int n_rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 31, 64}) {
            const auto         q = test::make_values(Shape::normal, n_rows, head_dim, 41);
            const auto         k = test::make_values(Shape::outlier_channel, head_dim, kBlockTokens, 42);
            std::vector<float> scores(static_cast<size_t>(n_rows * kBlockTokens), -1.0f);
            table().qk(n_rows, head_dim, q.data(), head_dim, k.data(), scores.data());
            for (int r = 0; r < n_rows; ++r) {
                for (int t = 0; t < kBlockTokens; ++t) {
                    double sum = 0, size = 0;
                    for (int d = 0; d < head_dim; ++d) {
                        const double term = double{q[static_cast<size_t>(r * head_dim + d)]} *
                                            double{k[static_cast<size_t>(d * kBlockTokens + t)]};
                        sum += term;
                        size += std::abs(term);
                    }
                    // One rounding per addition: error <= head_dim * epsilon * sum of sizes.
                    const double bound = head_dim * 0x1p-24 * size + 1e-30;
                    ASSERT_NEAR(scores[static_cast<size_t>(r * kBlockTokens + t)], sum, bound) << n_rows << " rows d" << head_dim;
                }
            }
        }
    }
}

TEST_P(Kernels, PvMatchesADoubleSum) {
    for (const int stride : {16, 32, 48, 64, 80, 128, 256}) {
        for (const int n_rows : {1, 2, 3, 4, 5, 6, 7, 11, 64}) {
            const auto         p      = test::make_values(Shape::normal, n_rows, kBlockTokens, 51);
            const auto         v      = test::make_values(Shape::normal, kBlockTokens, stride, 52);
            const auto         factor = test::make_values(Shape::normal, 1, n_rows, 53);
            const auto         start  = test::make_values(Shape::normal, n_rows, stride, 54);
            std::vector<float> acc    = start;
            table().pv(n_rows, stride, p.data(), factor.data(), v.data(), acc.data());
            for (int r = 0; r < n_rows; ++r) {
                for (int d = 0; d < stride; ++d) {
                    const size_t i   = static_cast<size_t>(r * stride + d);
                    double       sum = double{start[i]} * double{factor[static_cast<size_t>(r)]}, size = std::abs(sum);
                    for (int t = 0; t < kBlockTokens; ++t) {
                        const double term =
                            double{p[static_cast<size_t>(r * kBlockTokens + t)]} * double{v[static_cast<size_t>(t * stride + d)]};
                        sum += term;
                        size += std::abs(term);
                    }
                    ASSERT_NEAR(acc[i], sum, 34 * 0x1p-24 * size + 1e-30);
                }
            }
        }
    }
}

TEST_P(Kernels, SoftmaxStepMatchesDoubleAndHandlesEmptyTiles) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    for (const Shape shape : test::all_shapes()) {
        auto   scores = test::make_values(shape, 4, kBlockTokens, 61);
        double top = -kInf, sum = 0;
        float  m = -kInf, l = 0;
        for (int tile = 0; tile < 4; ++tile) {
            std::vector<float> s(scores.begin() + tile * kBlockTokens, scores.begin() + (tile + 1) * kBlockTokens);
            if (tile == 1) s[3] = -kInf;
            const std::vector<float> original = s;
            const double             old_top  = top;
            for (const float x : original) top = std::max(top, double{x});
            double tile_sum = 0;
            for (const float x : original) tile_sum += std::exp(double{x} - top);
            sum                = (old_top == -kInf ? 0.0 : sum * std::exp(old_top - top)) + tile_sum;
            const float factor = table().softmax_step(s.data(), &m, &l);
            EXPECT_EQ(m, static_cast<float>(top));
            EXPECT_NEAR(factor, old_top == -kInf ? 0.0 : std::exp(old_top - top), 1e-6);
            EXPECT_NEAR(l, sum, 1e-5 * sum);
            for (int t = 0; t < kBlockTokens; ++t) {
                EXPECT_NEAR(s[static_cast<size_t>(t)], std::exp(double{original[static_cast<size_t>(t)]} - top), 1e-6);
            }
        }
    }
    std::vector<float> empty(kBlockTokens, -kInf);
    float              m = -kInf, l = 0;
    EXPECT_EQ(table().softmax_step(empty.data(), &m, &l), 1.0f);
    EXPECT_EQ(m, -kInf);
    EXPECT_EQ(l, 0.0f);
    for (const float x : empty) EXPECT_EQ(x, 0.0f);
}

TEST_P(Kernels, NaNScoresStayVisible) {
    std::vector<float> s(kBlockTokens, 0.0f);
    s[9]    = std::numeric_limits<float>::quiet_NaN();
    float m = -std::numeric_limits<float>::infinity(), l = 0;
    table().softmax_step(s.data(), &m, &l);
    EXPECT_TRUE(std::isnan(l));
}

TEST_P(Kernels, MaskHidesWhateverTheScoreWas) {
    std::vector<f16_t> mask(kBlockTokens, 0);
    std::vector<float> s(kBlockTokens, 2.0f);
    mask[0] = mask[20] = 0xfc00;
    mask[1]            = f32_to_f16(-3.0f);
    s[20]              = std::numeric_limits<float>::quiet_NaN();
    table().add_mask(mask.data(), 0.5f, s.data());
    EXPECT_EQ(s[0], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(s[20], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(s[1], 0.5f);
    EXPECT_EQ(s[2], 2.0f);
}

INSTANTIATE_TEST_SUITE_P(Isa, Kernels, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
