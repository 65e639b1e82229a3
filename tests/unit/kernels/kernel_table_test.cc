// Every kernel that reads tiles on every ISA this machine has, against the scalar table; the ISA is in the test's name.
#include "kvt/kernels/kernel_table.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

// A tile of any codes whose parameters are small finite numbers.
std::vector<uint8_t> random_tile(const TileSpec & spec, uint64_t seed) {
    SplitMix64           rng(seed);
    std::vector<uint8_t> tile(spec.bytes + 64);
    for (uint8_t & b : tile) b = static_cast<uint8_t>(rng.next());
    for (size_t at = spec.is_f16 ? 0 : spec.scales_at; at + 1 < spec.bytes; at += 2) tile[at + 1] &= 0x3b;  // halves below 1
    for (size_t at = spec.scales_at; spec.byte_params && at < spec.bytes; ++at) tile[at] &= 0x77;           // scales below 1
    return tile;
}

// What the reference makes of rows of this shape, in whatever way the format asks for.
std::vector<uint8_t> encoded_tile(const TileSpec & spec, Shape shape, uint64_t seed) {
    std::vector<uint8_t>    tile(spec.bytes + 64);
    const int               n_tokens = spec.n_parts * kBlockTokens;
    const auto              rows     = test::make_values(shape, n_tokens, spec.head_dim, seed);
    std::vector<TokenPlace> places;
    for (int t = 0; t < n_tokens; ++t) places.push_back({tile.data(), t});
    if (spec.format.store == Store::sealed_block) {
        kKernelsScalar.encode_tile(spec, test::make_f16_tile(rows, spec.side, spec.head_dim).data(), test::kAllValid, nullptr,
                                   tile.data());
    } else {
        kKernelsScalar.encode_tokens(spec, nullptr, n_tokens, rows.data(), spec.head_dim, places.data());
    }
    return tile;
}

// One part of a tile, [32][head_dim] each: what its elements read back as, the steps of their group from its lowest to its
// highest value times the scale, and the largest size of a value in it.
struct Decoded {
    std::vector<float>  x;
    std::vector<double> steps, size;

    Decoded(const TileSpec & spec, const std::vector<uint8_t> & tile, int part)
        : x(static_cast<size_t>(kBlockTokens * spec.head_dim)) {
        for (int t = 0; t < kBlockTokens; ++t) {
            const int token = part * kBlockTokens + t;
            decode_token(spec.format, spec.side, spec.head_dim, token, tile.data(), &x[static_cast<size_t>(t * spec.head_dim)]);
            for (int d = 0; d < spec.head_dim; ++d) {
                const GroupScale p = spec.is_f16 ? GroupScale{}
                                                 : scale_at(spec.format, spec.side, spec.head_dim,
                                                            group_index(spec.format, token, d), tile.data());
                steps.push_back(double{p.s} * (1 << spec.bits));
                size.push_back(spec.is_f16 ? 40.0 : steps.back() + std::abs(double{p.z}));  // 40: of the outlier channel
            }
        }
    }
};

Ahead nothing_ahead;

class Kernels : public testing::TestWithParam<Isa> {
protected:
    const KernelTable & table() const { return *kernel_table(GetParam()); }
};

// The part as the tile stores it, for tables that decode it on the way; null if this one does not.
Operand packed_part(const KernelTable & table, const TileSpec & spec, const std::vector<uint8_t> & tile, int part) {
    const int rows = spec.is_f16 ? table.packed_f16_rows : table.packed_code_rows;
    if (rows == 0 || !decoded_on_the_way(spec)) return {};
    return {tile.data() + static_cast<size_t>(part) * spec.part_bytes, true};
}

const int kHeadDims[] = {8, 16, 32, 40, 64, 72, 80, 96, 112, 128, 256};

TEST_P(Kernels, IsTheOneAskedFor) { EXPECT_EQ(table().isa, GetParam()); }

// Where the code of (t, d) stands in an unpacked part.
size_t code_byte(const TileSpec & spec, int t, int d) {
    return static_cast<size_t>(spec.side == Side::key ? (d / 4 * kBlockTokens + t) * 4 + d % 4
                                                      : (t / 4 * spec.head_dim + d) * 4 + t % 4);
}

TEST_P(Kernels, UnpackGivesTheReferencesCodesAndFloats) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                const TileSpec spec = make_tile_spec(f, side, head_dim);
                const auto     tile = random_tile(spec, static_cast<uint64_t>(head_dim));
                for (int part = 0; part < spec.n_parts; ++part) {
                    std::vector<uint8_t> a(operand_bytes(head_dim)), b(operand_bytes(head_dim));
                    const uint8_t *      expected = kKernelsScalar.unpack(spec, tile.data(), part, a.data());
                    const uint8_t *      got      = table().unpack(spec, tile.data(), part, b.data());
                    for (int t = 0; t < kBlockTokens; ++t) {
                        for (int d = 0; d < head_dim; ++d) {
                            if (spec.is_f16) {
                                const int i = side == Side::key ? d * kBlockTokens + t : t * spec.stride + d;
                                ASSERT_EQ(reinterpret_cast<const float *>(expected)[i], reinterpret_cast<const float *>(got)[i]);
                                continue;
                            }
                            const int code = code_at(f, side, head_dim, part * kBlockTokens + t, d, tile.data());
                            ASSERT_EQ(expected[code_byte(spec, t, d)], code) << format_name(f) << " d" << head_dim;
                            ASSERT_EQ(got[code_byte(spec, t, d)], code) << format_name(f) << " d" << head_dim;
                        }
                    }
                }
            }
        }
    }
}

// Memory of QueryRows and what prepare_queries() wrote into it.
struct Queries {
    std::vector<float>  q, step, shift, weight;
    std::vector<int8_t> parts;
    QueryRows           rows;

    Queries(const TileSpec & spec, int n_rows, uint64_t seed) {
        const auto n = static_cast<size_t>(n_rows), stride = static_cast<size_t>(spec.stride);
        const auto groups = static_cast<size_t>(spec.n_groups);
        q.resize(n * stride);
        parts.resize(n * 2 * stride);
        step.resize(n);
        shift.resize(n * groups);
        weight.resize(n * groups);
        const auto values = test::make_values(Shape::outlier_channel, n_rows, spec.head_dim, seed);
        for (size_t r = 0; r < n; ++r) {
            for (int d = 0; d < spec.head_dim; ++d)
                q[r * stride + static_cast<size_t>(d)] = values[r * static_cast<size_t>(spec.head_dim) + static_cast<size_t>(d)];
        }
        rows = {n_rows, spec.stride, spec.n_groups, q.data(), parts.data(), step.data(), shift.data(), weight.data()};
    }
};

// The integer of channel d of row r: two bytes, or the word of 16 bits that avx2 multiplies (its order in a quad is 0 2 1 3).
int integer_of(Isa isa, const TileSpec & spec, const std::vector<int8_t> & parts, int r, int d) {
    const int8_t * row = parts.data() + static_cast<ptrdiff_t>(r) * 2 * spec.stride;
    if (spec.bits <= kNarrowBits) return row[d];
    if (isa != Isa::avx2) return row[d] + 64 * row[spec.stride + d];
    constexpr int kPlace[] = {0, 2, 1, 3};
    int16_t       word     = 0;
    std::memcpy(&word, row + 2 * (d / 4 * 4 + kPlace[d % 4]), sizeof word);
    return word;
}

TEST_P(Kernels, QueriesBecomeTheReferencesIntegers) {
    for (const int head_dim : kHeadDims) {
        for (const Format & f : test::all_formats(Side::key, head_dim)) {
            if (f.codec == Codec::f16) continue;
            const TileSpec spec = make_tile_spec(f, Side::key, head_dim);
            const auto     tile = random_tile(spec, 7);
            Queries        expected(spec, 3, 40), got(spec, 3, 40);
            kKernelsScalar.prepare_queries(spec, tile.data(), expected.rows);
            table().prepare_queries(spec, tile.data(), got.rows);
            ASSERT_EQ(expected.step, got.step);
            for (int r = 0; r < 3; ++r) {
                const int limit = spec.bits <= kNarrowBits ? kQueryLimitNarrow : kQueryLimit;
                for (int d = 0; d < head_dim; ++d) {
                    const int whole = integer_of(table().isa, spec, got.parts, r, d);
                    ASSERT_EQ(whole, integer_of(Isa::scalar, spec, expected.parts, r, d))
                        << format_name(f) << " d" << head_dim << " channel " << d;
                    ASSERT_LE(std::abs(whole), limit);
                }
                // Sums of head_dim terms in another order.
                double size = 0;
                for (int d = 0; d < head_dim; ++d) size += std::abs(double{got.q[static_cast<size_t>(r * spec.stride + d)]}) * 2;
                const int n_groups = spec.per_channel ? 1 : spec.n_groups;
                for (int g = 0; g < n_groups; ++g) {
                    const size_t i = static_cast<size_t>(r * spec.n_groups + g);
                    ASSERT_NEAR(expected.shift[i], got.shift[i], head_dim * 0x1p-23 * size * 256);
                    if (!spec.per_channel) {
                        ASSERT_NEAR(expected.weight[i], got.weight[i], head_dim * 0x1p-23 * size);
                    }
                }
            }
        }
    }
}

TEST_P(Kernels, ScoresMatchTheReferenceAndADoubleSum) {
    for (const int head_dim : kHeadDims) {
        for (const Format & f : test::all_formats(Side::key, head_dim)) {
            const TileSpec       spec = make_tile_spec(f, Side::key, head_dim);
            const auto           tile = encoded_tile(spec, Shape::outlier_channel, 11);
            std::vector<uint8_t> operand_a(operand_bytes(head_dim)), operand_b(operand_bytes(head_dim));
            for (int part = 0; part < spec.n_parts; part += 3) {
                const Decoded k(spec, tile, part);
                for (const int n_rows : {1, 2, 3, 4, 5, 7, 9, 31}) {
                    Queries            a(spec, n_rows, 50), b(spec, n_rows, 50);
                    std::vector<float> expected(static_cast<size_t>(n_rows * kBlockTokens), -1.0f), got = expected;
                    kKernelsScalar.prepare_queries(spec, tile.data(), a.rows);
                    table().prepare_queries(spec, tile.data(), b.rows);
                    kKernelsScalar.scores(spec, tile.data(), {kKernelsScalar.unpack(spec, tile.data(), part, operand_a.data())},
                                          a.rows, nothing_ahead, expected.data());
                    table().scores(spec, tile.data(), {table().unpack(spec, tile.data(), part, operand_b.data())}, b.rows,
                                   nothing_ahead, got.data());
                    if (const Operand packed = packed_part(table(), spec, tile, part); packed.packed) {
                        std::vector<float> on_the_way(got.size(), -1.0f);
                        table().scores(spec, tile.data(), packed, b.rows, nothing_ahead, on_the_way.data());
                        ASSERT_EQ(on_the_way, got) << format_name(f) << " d" << head_dim << " rows " << n_rows;
                    }
                    for (int t = 0; t < kBlockTokens; ++t) {
                        for (int r = 0; r < n_rows; ++r) {
                            double sum = 0, size = 0, rounding = 0;
                            for (int d = 0; d < head_dim; ++d) {
                                const double q  = double{b.q[static_cast<size_t>(r * spec.stride + d)]};
                                const size_t at = static_cast<size_t>(t * head_dim + d);
                                sum += q * double{k.x[at]};
                                size += std::abs(q) * k.size[at];
                                // Half a step of the rounded query times the distance of the code from the middle.
                                if (!spec.is_f16)
                                    rounding += 0.5 * double{b.step[static_cast<size_t>(r)]} *
                                                (spec.per_channel ? 0.5 * (1 << spec.bits) : 0.5 * k.steps[at]);
                            }
                            const size_t i      = static_cast<size_t>(r * kBlockTokens + t);
                            const double floats = (head_dim + 8) * 0x1p-23 * size + 1e-30;
                            ASSERT_NEAR(expected[i], got[i], floats) << format_name(f) << " d" << head_dim << " rows " << n_rows;
                            ASSERT_NEAR(got[i], sum, floats + rounding) << format_name(f) << " d" << head_dim;
                        }
                    }
                }
            }
        }
    }
}

TEST_P(Kernels, ValuesMatchTheReferenceAndADoubleSum) {
    for (const int head_dim : kHeadDims) {
        for (const Format & f : test::all_formats(Side::value, head_dim)) {
            const TileSpec       spec = make_tile_spec(f, Side::value, head_dim);
            const auto           tile = encoded_tile(spec, Shape::outlier_channel, 12);
            std::vector<uint8_t> operand_a(operand_bytes(head_dim)), operand_b(operand_bytes(head_dim));
            const Decoded        v(spec, tile, 0);
            for (const int rows : {1, -2, 3, 4, -4, 5, -5, 7, -9, 31, -31}) {  // negative: the last row's sum is small
                const int n_rows = std::abs(rows);
                auto      p      = test::make_values(Shape::one_spike, n_rows, kBlockTokens, 51);
                for (float & x : p) x = std::abs(x);
                for (int r = 0; r < n_rows; ++r) p[static_cast<size_t>(r * kBlockTokens + 5)] = 0.0f;  // a hidden token
                std::vector<float> sum(static_cast<size_t>(n_rows), 1e9f);  // beside it weights are small: one part
                if (rows < 0) sum.back() = 1.0f;
                const auto         factor   = test::make_values(Shape::normal, 1, n_rows, 53);
                const auto         start    = test::make_values(Shape::normal, n_rows, spec.stride, 54);
                std::vector<float> expected = start, got                                                          = start;
                std::vector<float> constants_a(static_cast<size_t>(n_rows * spec.n_groups * 16), 0.0f), constants = constants_a;
                kKernelsScalar.values(spec, tile.data(), {kKernelsScalar.unpack(spec, tile.data(), 0, operand_a.data())}, n_rows,
                                      p.data(), factor.data(), sum.data(), nothing_ahead, expected.data(), constants_a.data());
                table().values(spec, tile.data(), {table().unpack(spec, tile.data(), 0, operand_b.data())}, n_rows, p.data(),
                               factor.data(), sum.data(), nothing_ahead, got.data(), constants.data());
                if (const Operand packed = packed_part(table(), spec, tile, 0); packed.packed) {
                    std::vector<float> on_the_way = start, constants_c(constants.size(), 0.0f);
                    table().values(spec, tile.data(), packed, n_rows, p.data(), factor.data(), sum.data(), nothing_ahead,
                                   on_the_way.data(), constants_c.data());
                    for (int r = 0; r < n_rows; ++r) {
                        const auto at = static_cast<size_t>(r * spec.stride), n = sizeof(float) * static_cast<size_t>(head_dim);
                        ASSERT_EQ(std::memcmp(&on_the_way[at], &got[at], n), 0) << format_name(f) << " d" << head_dim;
                    }
                    ASSERT_EQ(constants_c, constants);
                }
                for (int r = 0; r < n_rows; ++r) {
                    for (int d = 0; d < head_dim; ++d) {
                        const size_t i     = static_cast<size_t>(r * spec.stride + d);
                        double       exact = double{start[i]} * double{factor[static_cast<size_t>(r)]};
                        double       size = std::abs(exact), rounding = 0, largest_p = 0;
                        double       result = double{got[i]};
                        for (int lane = 0; lane < 16; ++lane)
                            result += double{constants[static_cast<size_t>((r * spec.n_groups + d / spec.group) * 16 + lane)]};
                        for (int t = 0; t < kBlockTokens; ++t) {
                            const double w = double{p[static_cast<size_t>(r * kBlockTokens + t)]};
                            exact += w * double{v.x[static_cast<size_t>(t * head_dim + d)]};
                            size += w * v.size[static_cast<size_t>(t * head_dim + d)];
                            largest_p = std::max(largest_p, w);
                        }
                        if (!spec.is_f16) {
                            double largest_range = 0;
                            for (int t = 0; t < kBlockTokens; ++t)
                                largest_range = std::max(largest_range, v.steps[static_cast<size_t>(t * head_dim + d)]);
                            const bool narrow =
                                spec.bits <= kNarrowBits && largest_p * kNarrowShare <= double{sum[static_cast<size_t>(r)]};
                            const int limit = narrow ? kWeightLimitNarrow : kWeightLimit;
                            rounding        = kBlockTokens * 0.5 * largest_p * largest_range / limit;
                        }
                        const double floats = 48 * 0x1p-23 * size + 1e-30;
                        ASSERT_NEAR(result, expected[i], floats) << format_name(f) << " d" << head_dim << " rows " << n_rows;
                        ASSERT_NEAR(result, exact, floats + rounding) << format_name(f) << " d" << head_dim;
                    }
                }
            }
        }
    }
}

TEST_P(Kernels, AHiddenTokenTakesNoPartWhateverItHolds) {
    for (const Format & f : test::all_formats(Side::value, 64)) {
        if (f.store == Store::sealed_block) continue;
        const TileSpec     spec = make_tile_spec(f, Side::value, 64);
        auto               tile = encoded_tile(spec, Shape::normal, 13);
        std::vector<float> bad(64, std::numeric_limits<float>::quiet_NaN()), p(kBlockTokens, 0.1f), factor(1, 1.0f);
        std::vector<float> out(static_cast<size_t>(spec.stride), 0.0f), constants(static_cast<size_t>(spec.n_groups * 16), 0.0f);
        std::vector<uint8_t> operand(operand_bytes(64));
        const TokenPlace     place{tile.data(), 9};
        ASSERT_EQ(table().encode_tokens(spec, nullptr, 1, bad.data(), 64, &place), Encoded::not_finite);
        p[9] = 0.0f;
        if (spec.is_f16) continue;  // stored NaNs of 16-bit cells are the model's own
        table().values(spec, tile.data(), {table().unpack(spec, tile.data(), 0, operand.data())}, 1, p.data(), factor.data(),
                       factor.data(), nothing_ahead, out.data(), constants.data());
        for (int d = 0; d < 64; ++d) ASSERT_TRUE(std::isfinite(out[static_cast<size_t>(d)])) << format_name(f);
        for (const float x : constants) ASSERT_TRUE(std::isfinite(x)) << format_name(f);
        p[9] = 0.1f;
        table().values(spec, tile.data(), {table().unpack(spec, tile.data(), 0, operand.data())}, 1, p.data(), factor.data(),
                       factor.data(), nothing_ahead, out.data(), constants.data());
        float sum = out[0];
        for (int lane = 0; lane < 16; ++lane) sum += constants[static_cast<size_t>(lane)];
        EXPECT_TRUE(std::isnan(sum)) << format_name(f);  // a visible one is loud
    }
}

TEST_P(Kernels, SoftmaxOfManyRowsIsThatOfEachAlone) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    for (const int n_rows : {2, 4, 5, 9}) {
        const auto         n      = static_cast<size_t>(n_rows);
        auto               scores = test::make_values(Shape::normal, n_rows, kBlockTokens, 62);
        std::vector<float> m(n, 0.5f), l(n, 2.0f), factor(n, -1.0f);
        m[0] = 100.0f;  // keeps its maximum, the others do not
        m[1] = -kInf;
        std::fill_n(scores.begin() + kBlockTokens, kBlockTokens, -kInf);  // sees nothing
        auto one = scores, m1 = m, l1 = l, factor1 = factor;
        table().softmax_step(n_rows, scores.data(), m.data(), l.data(), factor.data());
        for (size_t r = 0; r < n; ++r) table().softmax_step(1, &one[r * kBlockTokens], &m1[r], &l1[r], &factor1[r]);
        EXPECT_EQ(scores, one) << n_rows;
        EXPECT_EQ(m, m1);
        EXPECT_EQ(l, l1);
        EXPECT_EQ(factor, factor1);
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
            sum          = (old_top == -kInf ? 0.0 : sum * std::exp(old_top - top)) + tile_sum;
            float factor = -1;
            table().softmax_step(1, s.data(), &m, &l, &factor);
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
    float              factor = -1;
    table().softmax_step(1, empty.data(), &m, &l, &factor);
    EXPECT_EQ(factor, 1.0f);
    EXPECT_EQ(m, -kInf);
    EXPECT_EQ(l, 0.0f);
    for (const float x : empty) EXPECT_EQ(x, 0.0f);
}

TEST_P(Kernels, NaNScoresStayVisible) {
    std::vector<float> s(kBlockTokens, 0.0f);
    s[9]    = std::numeric_limits<float>::quiet_NaN();
    float m = -std::numeric_limits<float>::infinity(), l = 0;
    float kept = -1;
    table().softmax_step(1, s.data(), &m, &l, &kept);
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
