#include "kvt/kernels/transform_rows.h"

#include <cmath>

#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

constexpr int kDim = 40, kStride = 48, kRows = 3;

PackedTransform example(Rotation rotation) {
    HeadTransform t;
    t.rotation = rotation;
    t.center   = test::make_values(test::Shape::normal, 1, kDim, 1);
    if (rotation == Rotation::dense) {
        t.matrix = test::make_values(test::Shape::normal, kDim, kDim, 2);
        for (int i = 0; i < kDim; ++i) t.matrix[static_cast<size_t>(i * kDim + i)] += 8;
    } else {
        t.scale = test::make_values(test::Shape::normal, 1, kDim, 3);
        for (float & s : t.scale) s = std::abs(s) + 0.5f;
    }
    return *pack_transform(t, kDim);
}

class TransformRows : public testing::TestWithParam<Isa> {};

// A row at a time by quant/transform.h is the specification.
TEST_P(TransformRows, AreTransformedLikeSingleRows) {
    for (const Rotation rotation : {Rotation::none, Rotation::hadamard, Rotation::dense}) {
        const PackedTransform t  = example(rotation);
        const auto            in = test::make_values(test::Shape::normal, kRows, kStride, 4);
        std::vector<float>    q = in, o = in, logits(kRows), row(kDim);
        for (size_t i = 0; i < q.size(); ++i) q[i] = i % kStride < kDim ? q[i] : 0.0f;
        const float weights[kRows] = {1, 0, 0.25f};  // a learned sink took the rest
        transform_queries(*kernel_table(GetParam()), &t, kRows, q.data(), logits.data());
        restore_rows(*kernel_table(GetParam()), &t, kRows, weights, o.data());
        for (int r = 0; r < kRows; ++r) {
            const float * from = &in[static_cast<size_t>(r * kStride)];
            query_row(t, from, row.data());
            for (int d = 0; d < kStride; ++d)
                EXPECT_EQ(q[static_cast<size_t>(r * kStride + d)], d < kDim ? row[static_cast<size_t>(d)] : 0.0f)
                    << r << " " << d;
            EXPECT_EQ(logits[static_cast<size_t>(r)], center_logit(t, from));
            output_row(t, from, weights[r], row.data());
            for (int d = 0; d < kDim; ++d)
                EXPECT_EQ(o[static_cast<size_t>(r * kStride + d)], row[static_cast<size_t>(d)]) << r << " " << d;
        }
        // What is stored, and read again.
        std::vector<float> x = in;
        for (const auto one : {transform_row, restore_row}) {
            const std::vector<float> before = x;
            if (one == transform_row) {
                transform_rows(*kernel_table(GetParam()), &t, kRows, x.data());
            } else {
                restore_rows(*kernel_table(GetParam()), &t, kRows, nullptr, x.data());
            }
            for (int r = 0; r < kRows; ++r) {
                one(t, &before[static_cast<size_t>(r * kStride)], row.data());
                for (int d = 0; d < kDim; ++d)
                    EXPECT_EQ(x[static_cast<size_t>(r * kStride + d)], row[static_cast<size_t>(d)]) << r << " " << d;
            }
        }
    }
}

TEST_P(TransformRows, WithoutATransformNothingHappens) {
    const auto         in             = test::make_values(test::Shape::normal, kRows, kStride, 5);
    std::vector<float> x              = in, logits(kRows, 7.0f);
    const float        weights[kRows] = {1, 1, 1};
    transform_rows(*kernel_table(GetParam()), nullptr, kRows, x.data());
    transform_queries(*kernel_table(GetParam()), nullptr, kRows, x.data(), logits.data());
    restore_rows(*kernel_table(GetParam()), nullptr, kRows, weights, x.data());
    EXPECT_EQ(x, in);
    EXPECT_EQ(logits, std::vector<float>(kRows, 7.0f));
}

INSTANTIATE_TEST_SUITE_P(Isa, TransformRows, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
