// Transforms of rows: what is undone on queries and outputs, worked rows and error messages.
#include "kvt/quant/transform.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

// A transform with every part that its rotation may have. The dense matrix is diagonally dominant, so well conditioned.
HeadTransform make_transform(Rotation rotation, bool with_scale, int head_dim) {
    HeadTransform t;
    t.rotation = rotation;
    t.center   = test::make_values(Shape::outlier_channel, 1, head_dim, 1);
    if (with_scale) {
        t.scale = test::make_values(Shape::normal, 1, head_dim, 2);
        for (float & s : t.scale) s = s < 0.0f ? s - 0.5f : s + 0.5f;
    }
    if (rotation == Rotation::dense) {
        t.matrix = test::make_values(Shape::normal, head_dim, head_dim, 3);
        for (float & x : t.matrix) x *= 0.5f / std::sqrt(static_cast<float>(head_dim));
        for (int i = 0; i < head_dim; ++i) t.matrix[static_cast<size_t>(i * head_dim + i)] += 1.5f;
    }
    return t;
}

struct Case {
    Rotation rotation;
    bool     with_scale;
};
constexpr Case kCases[]    = {{Rotation::none, false},
                              {Rotation::none, true},
                              {Rotation::hadamard, false},
                              {Rotation::hadamard, true},
                              {Rotation::dense, false}};
constexpr int  kHeadDims[] = {1, 8, 40, 64, 80, 96, 128, 256};

// Calls fn(packed, name) for each kind of transform and head_dim.
template <class Fn>
void for_each_transform(const Fn & fn) {
    for (const int head_dim : kHeadDims) {
        for (const Case & c : kCases) {
            const auto packed = pack_transform(make_transform(c.rotation, c.with_scale, head_dim), head_dim);
            ASSERT_TRUE(packed.ok()) << packed.error().message;
            fn(*packed, fmt::format("rotation {} scale {} d{}", static_cast<int>(c.rotation), c.with_scale, head_dim));
        }
    }
}

double dot(const std::vector<float> & a, const std::vector<float> & b, int n) {
    double sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) sum += double{a[i]} * double{b[i]};
    return sum;
}

// center (1, 2), scale (2, 1): (3, 4) becomes (4, 2), turned (6, 2) / sqrt(2). Query (1, 1) becomes (0.5, 1), turned (1.5, -0.5)
// / sqrt(2); its product 8 / 2 = 4 plus q . center = 3 is 7 = (1, 1) . (3, 4).
TEST(Transform, ByHand) {
    const auto t = pack_transform({Rotation::hadamard, {1.0f, 2.0f}, {2.0f, 1.0f}, {}, {}}, 2);
    ASSERT_TRUE(t.ok());
    const float x[2] = {3.0f, 4.0f}, q[2] = {1.0f, 1.0f}, root = std::sqrt(0.5f);
    float       y[2], p[2], back[2];
    transform_row(*t, x, y);
    EXPECT_FLOAT_EQ(y[0], 6.0f * root);
    EXPECT_FLOAT_EQ(y[1], 2.0f * root);
    query_row(*t, q, p);
    EXPECT_FLOAT_EQ(p[0], 1.5f * root);
    EXPECT_FLOAT_EQ(p[1], -0.5f * root);
    EXPECT_FLOAT_EQ(center_logit(*t, q), 3.0f);
    EXPECT_FLOAT_EQ(p[0] * y[0] + p[1] * y[1] + center_logit(*t, q), 7.0f);
    output_row(*t, y, 1.0f, back);
    EXPECT_FLOAT_EQ(back[0], 3.0f);
    EXPECT_FLOAT_EQ(back[1], 4.0f);
    output_row(*t, y, 0.5f, back);  // a learned sink took half of the weight
    EXPECT_FLOAT_EQ(back[0], 2.5f);
    EXPECT_FLOAT_EQ(back[1], 3.0f);
}

TEST(Transform, ADenseMatrixIsAppliedByRows) {
    const auto t = pack_transform({Rotation::dense, {0.0f, 0.0f}, {}, {1.0f, 2.0f, 0.0f, 4.0f}, {}}, 2);
    ASSERT_TRUE(t.ok());
    const float x[2] = {3.0f, 5.0f};
    float       y[2];
    transform_row(*t, x, y);
    EXPECT_EQ(y[0], 13.0f);
    EXPECT_EQ(y[1], 20.0f);
}

// Of dense matrices, which are f16; the others only add up f32 rounding.
double rounding(const PackedTransform & t) { return t.rotation == Rotation::dense ? 0.1 : 2e-4; }

TEST(Transform, RestoreUndoesTransform) {
    for_each_transform([](const PackedTransform & t, const std::string & name) {
        const std::vector<float> x = test::make_values(Shape::outlier_channel, 1, t.head_dim, 4);
        std::vector<float>       y(x.size()), back(x.size());
        transform_row(t, x.data(), y.data());
        restore_row(t, y.data(), back.data());
        for (size_t d = 0; d < x.size(); ++d)
            ASSERT_NEAR(back[d], x[d], rounding(t)) << name;  // values reach 35, scales 0.5 .. 2.5
        std::vector<float> in_place = x;
        transform_row(t, in_place.data(), in_place.data());
        EXPECT_EQ(in_place, y) << name;
        restore_row(t, in_place.data(), in_place.data());
        EXPECT_EQ(in_place, back) << name;
    });
}

TEST(Transform, LogitsAreKept) {
    for_each_transform([](const PackedTransform & t, const std::string & name) {
        const std::vector<float> x = test::make_values(Shape::outlier_channel, 1, t.head_dim, 5),
                                 q = test::make_values(Shape::normal, 1, t.head_dim, 6);
        std::vector<float> y(x.size()), p(x.size());
        transform_row(t, x.data(), y.data());
        query_row(t, q.data(), p.data());
        double size = 0;  // of the terms
        for (size_t d = 0; d < x.size(); ++d)
            size += std::abs(double{q[d]}) * (std::abs(double{x[d]}) + std::abs(double{t.center[d]}));
        ASSERT_NEAR(dot(p, y, t.head_dim) + double{center_logit(t, q.data())}, dot(q, x, t.head_dim),
                    (t.rotation == Rotation::dense ? 5e-4 : 1e-5) * size + 1e-4)
            << name;
        std::vector<float> in_place = q;
        query_row(t, in_place.data(), in_place.data());
        EXPECT_EQ(in_place, p) << name;
    });
}

TEST(Transform, WeightedSumsOfRowsAreKept) {
    for_each_transform([](const PackedTransform & t, const std::string & name) {
        const auto               n          = static_cast<size_t>(t.head_dim);
        const std::vector<float> rows       = test::make_values(Shape::outlier_channel, 3, t.head_dim, 7);
        const float              weights[3] = {0.5f, 0.25f, 0.125f};  // a learned sink has the rest
        std::vector<float>       sum(n, 0.0f), y(n);
        std::vector<double>      expected(n, 0.0);
        for (size_t r = 0; r < 3; ++r) {
            transform_row(t, &rows[r * n], y.data());
            for (size_t d = 0; d < n; ++d) {
                sum[d] += weights[r] * y[d];
                expected[d] += double{weights[r]} * double{rows[r * n + d]};
            }
        }
        output_row(t, sum.data(), 0.875f, sum.data());
        for (size_t d = 0; d < n; ++d) ASSERT_NEAR(sum[d], expected[d], rounding(t)) << name;
    });
}

TEST(Transform, HadamardBlocksAreOrthogonalAndTheirOwnInverse) {
    const struct { int head_dim, block; } cases[] = {{64, 64}, {80, 16}, {96, 32}, {112, 16}, {128, 128}, {40, 8}, {7, 1}};
    for (const auto & c : cases) {
        HeadTransform t;
        t.rotation = Rotation::hadamard;
        t.center.assign(static_cast<size_t>(c.head_dim), 0.0f);
        const auto packed = pack_transform(t, c.head_dim);
        ASSERT_TRUE(packed.ok());
        EXPECT_EQ(packed->block, c.block) << c.head_dim;
        std::vector<float> x(static_cast<size_t>(c.head_dim), 0.0f);
        const int          at = c.head_dim - 1, first = at / c.block * c.block;
        x[static_cast<size_t>(at)] = 1.0f;
        rotate_row(nullptr, c.head_dim, packed->stride, packed->block, x.data());
        for (int d = 0; d < c.head_dim; ++d) {
            // Sylvester's matrix: the sign is the parity of the bits that row and column share.
            const bool  odd  = __builtin_parity(static_cast<unsigned>((d - first) & (at - first))) != 0;
            const float size = 1.0f / std::sqrt(static_cast<float>(c.block));
            EXPECT_FLOAT_EQ(x[static_cast<size_t>(d)], d < first ? 0.0f : odd ? -size : size) << c.head_dim << " " << d;
        }
        rotate_row(nullptr, c.head_dim, packed->stride, packed->block, x.data());
        for (int d = 0; d < c.head_dim; ++d) EXPECT_NEAR(x[static_cast<size_t>(d)], d == at ? 1.0f : 0.0f, 1e-6);
    }
}

TEST(Transform, NothingIsActiveUntilPacked) {
    EXPECT_FALSE(PackedTransform{}.active());
    EXPECT_TRUE(pack_transform(make_transform(Rotation::none, false, 8), 8)->active());
}

TEST(Transform, WhatCannotBeUsedIsRefusedWithAReason) {
    const auto with = [](Rotation rotation, bool scale, const auto & change) {
        HeadTransform t = make_transform(rotation, scale, 16);
        change(t);
        const auto packed = pack_transform(t, 16);
        return packed.ok() ? std::string() : packed.error().message;
    };
    const struct {
        std::string found, wanted;
    } cases[] = {
        {with(Rotation::none, false, [](HeadTransform & t) { t.center.pop_back(); }), "center has 15 numbers, 16 expected"},
        {with(Rotation::none, true, [](HeadTransform & t) { t.scale.pop_back(); }), "scale has 15 numbers, 16 expected"},
        {with(Rotation::dense, false, [](HeadTransform & t) { t.matrix.pop_back(); }), "matrix has 255 numbers, 256 expected"},
        {with(Rotation::hadamard, false, [](HeadTransform & t) { t.matrix.assign(256, 1.0f); }),
         "matrix has 256 numbers, 0 expected"},
        {with(Rotation::none, false, [](HeadTransform & t) { t.feedback.assign(100, 0.0f); }),
         "feedback has 100 numbers, 256 expected"},
        {with(Rotation::dense, false, [](HeadTransform & t) { t.scale.assign(16, 1.0f); }),
         "a dense rotation has a scale of its own"},
        {with(Rotation::none, true, [](HeadTransform & t) { t.scale[3] = 0.0f; }), "a scale is 0"},
        {with(Rotation::none, false, [](HeadTransform & t) { t.center[3] = NAN; }), "a number is not finite"},
        {with(Rotation::dense, false, [](HeadTransform & t) { t.matrix[3] = INFINITY; }), "a number is not finite"},
        {with(Rotation::dense, false, [](HeadTransform & t) { std::fill_n(t.matrix.begin(), 16, 0.0f); }),
         "the matrix cannot be inverted"},
        {with(Rotation::dense, false, [](HeadTransform &) {}), ""},
        {with(Rotation::hadamard, true, [](HeadTransform & t) { t.feedback.assign(256, 0.25f); }), ""},
    };
    for (const auto & c : cases) EXPECT_EQ(c.found, c.wanted);
}

}  // namespace
}  // namespace kvt
