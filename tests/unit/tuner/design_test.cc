// The linear algebra of calibration by the properties that define it, on moments with a wide spectrum.
#include "kvt/tuner/calibrate/design.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/quant/codec.h"
#include "kvt/quant/tile.h"

namespace kvt {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

double normal(SplitMix64 & rng) { return (rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2.0) * std::sqrt(3.0); }

MatrixXd normal_matrix(SplitMix64 & rng, int rows, int cols) {
    MatrixXd m(rows, cols);
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < cols; ++j) m(i, j) = normal(rng);
    }
    return m;
}

// Symmetric positive definite, eigenvalues 1 .. 10^-decades in some directions.
MatrixXd metric(SplitMix64 & rng, int n, double decades) {
    const MatrixXd q = Eigen::HouseholderQR<MatrixXd>(normal_matrix(rng, n, n)).householderQ();
    VectorXd       values(n);
    for (int i = 0; i < n; ++i) values(i) = std::pow(10.0, -decades * i / std::max(1, n - 1));
    return q * values.asDiagonal() * q.transpose();
}

MatrixXd lower_of(const MatrixXd & g) { return Eigen::LLT<MatrixXd>(g).matrixL(); }

TEST(EqualPivotRotation, IsARotationThatEvensOutTheDiagonal) {
    SplitMix64 rng(1);
    for (const int n : {1, 2, 7, 16, 64}) {
        for (const double decades : {0.0, 2.0, 6.0}) {
            const MatrixXd g = metric(rng, n, decades), p = equal_pivot_rotation(g);
            EXPECT_LT((p * p.transpose() - MatrixXd::Identity(n, n)).cwiseAbs().maxCoeff(), 1e-9) << n;
            const VectorXd diagonal = lower_of(p * g * p.transpose()).diagonal();
            const double   mean     = std::pow(10.0, -decades / 4);  // root of the eigenvalues' geometric mean
            for (const double d : diagonal) EXPECT_NEAR(d / (n == 1 ? 1.0 : mean), 1.0, 1e-5) << n << " " << decades;
        }
    }
}

TEST(FeedbackOf, IsTheStrictTriangleOfTheUnitFactor) {
    SplitMix64     rng(2);
    const int      n = 20, stride = row_stride(n);
    const MatrixXd g = metric(rng, n, 3), lower = lower_of(g);
    const auto     f = feedback_of(g);
    ASSERT_EQ(f.size(), static_cast<size_t>(n * stride));
    const MatrixXd unit = lower * lower.diagonal().cwiseInverse().asDiagonal();
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j < stride; ++j)
            EXPECT_NEAR(f[static_cast<size_t>(i * stride + j)], j < i ? unit(i, j) : 0.0, 1e-5) << i << " " << j;
    }
}

// The share of signal at so many bits, read off a metric with equal eigenvalues: delta = s (1 + delta).
double share(int bits) {
    const double delta = regulariser(VectorXd::Ones(4), bits);
    return delta / (1 + delta);
}

TEST(Regulariser, IsAFixedPoint) {
    SplitMix64 rng(3);
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        VectorXd values(32);
        for (double & v : values) v = std::exp(2 * normal(rng));
        const double delta = regulariser(values, bits), mean = std::exp((values.array() + delta).log().mean());
        EXPECT_NEAR(delta / (share(bits) * mean), 1.0, 1e-6) << bits;
    }
    EXPECT_NEAR(share(2), 0.2, 1e-6);
    EXPECT_GT(share(2), share(3));
    EXPECT_GT(share(6), share(8));
}

TEST(Regulariser, SingularMetricsGetSomething) {
    VectorXd values = VectorXd::Zero(16);
    EXPECT_GT(regulariser(values, 8), 0.0);
    values(0) = 1, values(1) = -1e-18;
    EXPECT_GT(regulariser(values, 4), 0.0);
}

HeadMoments example_moments(int n) {
    SplitMix64  rng(4);
    HeadMoments m;
    m.mean    = normal_matrix(rng, n, 1) * 3;
    m.spread  = metric(rng, n, 3);
    m.queries = metric(rng, n, 2);
    return m;
}

std::vector<float> row_of(const VectorXd & x) {
    std::vector<float> row;
    for (const double v : x) row.push_back(static_cast<float>(v));
    return row;
}

float dot(const std::vector<float> & a, const std::vector<float> & b) {
    float sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

TEST(KeyTransforms, KeepEveryLogit) {
    for (const int n : {32, 48}) {
        const HeadMoments moments = example_moments(n);
        for (const Rotation rotation : {Rotation::dense, Rotation::hadamard}) {
            for (const int bits : {2, 4, 8}) {
                const auto t = pack_transform(design_key_transform(moments, rotation, bits), n);
                ASSERT_TRUE(t.ok()) << t.error().message;
                SplitMix64 rng(5);
                for (int i = 0; i < 20; ++i) {
                    const auto         q = row_of(normal_matrix(rng, n, 1)), k = row_of(moments.mean + normal_matrix(rng, n, 1));
                    std::vector<float> a(q.size()), y(k.size());
                    query_row(*t, q.data(), a.data());
                    transform_row(*t, k.data(), y.data());
                    EXPECT_NEAR(dot(a, y) + center_logit(*t, q.data()), dot(q, k), rotation == Rotation::dense ? 0.05 : 2e-3)
                        << n << " " << bits;
                }
            }
        }
    }
}

TEST(KeyTransforms, HaveUnitVarianceAndTheMeanAsCenter) {
    const int         n       = 32;
    const HeadMoments moments = example_moments(n);
    for (const Rotation rotation : {Rotation::dense, Rotation::hadamard}) {
        const HeadTransform t      = design_key_transform(moments, rotation, 4);
        const auto          packed = pack_transform(t, n);
        ASSERT_TRUE(packed.ok());
        EXPECT_EQ(t.center, row_of(moments.mean));
        MatrixXd m(n, n);  // the linear part, column by column
        for (int j = 0; j < n; ++j) {
            std::vector<float> x = t.center, y(x.size());
            x[static_cast<size_t>(j)] += 1;
            transform_row(*packed, x.data(), y.data());
            for (int i = 0; i < n; ++i) m(i, j) = y[static_cast<size_t>(i)];
        }
        EXPECT_NEAR((m * moments.spread * m.transpose()).trace() / n, 1.0, 0.02);
        ASSERT_EQ(t.feedback.size(), static_cast<size_t>(n * row_stride(n)));
        EXPECT_TRUE(std::any_of(t.feedback.begin(), t.feedback.end(), [](float f) { return f != 0; }));
    }
}

// Mean square error of logits when keys of these moments are stored with and without what was designed for them.
double logit_error(const HeadMoments & moments, const PackedTransform & t, const Format & f, int n) {
    SplitMix64           rng(6);
    const MatrixXd       key_root = lower_of(moments.spread), query_root = lower_of(moments.queries);
    std::vector<uint8_t> tile(tile_bytes(f, Side::key, n));
    double               sum = 0;
    for (int i = 0; i < 400; ++i) {
        const auto k = row_of(moments.mean + key_root * normal_matrix(rng, n, 1)),
                   q = row_of(query_root * normal_matrix(rng, n, 1));
        std::vector<float> y(k.size());
        transform_row(t, k.data(), y.data());
        (void)encode_token(f, Side::key, n, 0, y.data(), t.feedback.empty() ? nullptr : t.feedback.data(), tile.data());
        decode_token(f, Side::key, n, 0, tile.data(), y.data());
        restore_row(t, y.data(), y.data());
        const double e = dot(q, y) - dot(q, k);
        sum += e * e / 400;
    }
    return sum;
}

TEST(KeyTransforms, LowerTheErrorOfLogits) {
    const int         n       = 64;
    const HeadMoments moments = example_moments(n);
    HeadTransform     nothing;
    nothing.center = row_of(moments.mean);
    for (const int bits : {3, 4, 8}) {
        const Format  f     = mode_format(Mode::rotated, Side::key, bits, n);
        const auto    error = [&](const HeadTransform & t) { return logit_error(moments, *pack_transform(t, n), f, n); };
        const double  plain = error(nothing), hadamard = error(design_key_transform(moments, Rotation::hadamard, bits));
        HeadTransform designed = design_key_transform(moments, Rotation::dense, bits);
        const double  dense    = error(designed);
        EXPECT_LT(hadamard, plain) << bits;
        EXPECT_LT(dense, hadamard) << bits;
        designed.feedback.clear();
        EXPECT_LT(dense, error(designed)) << "feedback is what the rotation was made for, bits " << bits;
    }
}

TEST(ValueTransforms, CenterAndScaleToUnitVariance) {
    const int           n       = 32;
    const HeadMoments   moments = example_moments(n);
    const HeadTransform t       = design_value_transform(moments);
    EXPECT_EQ(t.rotation, Rotation::hadamard);
    EXPECT_EQ(t.center, row_of(moments.mean));
    EXPECT_TRUE(t.feedback.empty());
    EXPECT_NEAR(t.scale[0] * t.scale[0] * moments.spread.trace() / n, 1.0, 0.01);
    EXPECT_EQ(t.scale, std::vector<float>(32, t.scale[0]));
    const auto         packed = pack_transform(t, n);
    const auto         v      = row_of(VectorXd::LinSpaced(n, -3, 3));
    std::vector<float> out(v.size());
    transform_row(*packed, v.data(), out.data());
    restore_row(*packed, out.data(), out.data());
    for (size_t d = 0; d < v.size(); ++d) EXPECT_NEAR(out[d], v[d], 1e-4);
}

TEST(Transforms, OfHeadsThatNeverMoveAreUsable) {
    const int         n = 16;
    const HeadMoments still{VectorXd::Zero(n), MatrixXd::Zero(n, n), MatrixXd::Zero(n, n)};
    for (const int bits : {2, 8}) {
        for (const Rotation rotation : {Rotation::dense, Rotation::hadamard}) {
            const auto t = pack_transform(design_key_transform(still, rotation, bits), n);
            EXPECT_TRUE(t.ok()) << t.error().message;
        }
    }
    EXPECT_TRUE(pack_transform(design_value_transform(still), n).ok());
}

}  // namespace
}  // namespace kvt
