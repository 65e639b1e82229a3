#include "kvt/tuner/calibrate/design.h"

#include <cmath>

namespace kvt {

namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using Solver = Eigen::SelfAdjointEigenSolver<MatrixXd>;

// Moments are estimated from a few thousand tokens: a thousandth of the mean variance keeps them invertible.
constexpr double kShrinkage = 1e-3;

MatrixXd steadied(const MatrixXd & m) {
    const double d = static_cast<double>(m.rows());
    // A head that never moved (all zero) still gets a transform, of numbers that f16 holds.
    const double add = kShrinkage * m.trace() / d + 1e-6;
    return m + add * MatrixXd::Identity(m.rows(), m.cols());
}

MatrixXd power(const MatrixXd & m, double exponent) {
    const Solver   s(m);
    const VectorXd values = s.eigenvalues().cwiseMax(1e-300).array().pow(exponent).matrix();
    return s.eigenvectors() * values.asDiagonal() * s.eigenvectors().transpose();
}

// A with A b A = a for symmetric positive definite a and b: the geometric mean of a and the inverse of b.
MatrixXd geometric_mean(const MatrixXd & a, const MatrixXd & b) {
    const MatrixXd root = power(b, 0.5), inverse_root = power(b, -0.5);
    return inverse_root * power(root * a * root, 0.5) * inverse_root;
}

// Error variance of a quantizer of so many bits relative to unit variance.
double sigma2(int bits) {
    switch (bits) {
        case 2:
            return 0.2;
        case 3:
            return 0.05;
        case 4:
            return 0.0125;
        case 5:
            return 0.0031;
        case 6:
            return 0.0008;
        default:
            return 0.00005;
    }
}

// How far keys are whitened: at few bits the noise of weak directions should not be raised all the way.
double whitening(int bits) { return bits >= 5 ? 1.0 : bits == 4 ? 0.9 : 0.8; }

MatrixXd metric_after(const MatrixXd & transform, const MatrixXd & metric) {
    const MatrixXd inverse = transform.inverse();
    return inverse.transpose() * metric * inverse;
}

MatrixXd regularised(const MatrixXd & metric, int bits) {
    const MatrixXd symmetric = 0.5 * (metric + metric.transpose());
    return symmetric + regulariser(Solver(symmetric, Eigen::EigenvaluesOnly).eigenvalues(), bits) *
                           MatrixXd::Identity(metric.rows(), metric.cols());
}

double unit_scale(const MatrixXd & transform, const MatrixXd & spread) {
    const double variance = (transform * spread * transform.transpose()).trace() / static_cast<double>(spread.rows());
    return 1.0 / std::sqrt(variance);
}

std::vector<float> to_floats(const VectorXd & v) {
    std::vector<float> out;
    for (const double x : v) out.push_back(static_cast<float>(x));
    return out;
}

MatrixXd hadamard_matrix(int n) {
    const int block = hadamard_block(n);
    MatrixXd  h     = MatrixXd::Zero(n, n);
    for (int i = 0; i < n; ++i) {
        for (int j = i / block * block; j < i / block * block + block; ++j)
            h(i, j) =
                (__builtin_popcount(static_cast<unsigned>((i % block) & (j % block))) % 2 == 0 ? 1.0 : -1.0) / std::sqrt(block);
    }
    return h;
}

HeadTransform dense_keys(const HeadMoments & k, int bits) {
    const MatrixXd spread = steadied(k.spread), queries = steadied(k.queries);
    const MatrixXd root = power(geometric_mean(queries, spread), 0.5);
    const Solver   balanced(root * spread * root);
    const double   floor     = 1e-7 * balanced.eigenvalues().maxCoeff();
    const VectorXd shrink    = balanced.eigenvalues().cwiseMax(floor).array().pow(-0.5 * whitening(bits)).matrix();
    const MatrixXd whitener  = shrink.asDiagonal() * balanced.eigenvectors().transpose() * root;
    MatrixXd       transform = equal_pivot_rotation(regularised(metric_after(whitener, queries), bits)) * whitener;
    transform *= unit_scale(transform, spread);
    HeadTransform out;
    out.rotation = Rotation::dense;
    out.center   = to_floats(k.mean);
    out.feedback = feedback_of(regularised(metric_after(transform, queries), bits));
    for (Eigen::Index i = 0; i < transform.rows(); ++i) {
        for (Eigen::Index j = 0; j < transform.cols(); ++j) out.matrix.push_back(static_cast<float>(transform(i, j)));
    }
    return out;
}

HeadTransform hadamard_keys(const HeadMoments & k, int bits) {
    const MatrixXd spread = steadied(k.spread), queries = steadied(k.queries);
    const MatrixXd rotation = hadamard_matrix(static_cast<int>(spread.rows()));
    VectorXd       scale    = spread.diagonal().array().pow(-0.25).matrix();
    scale *= unit_scale(rotation * scale.asDiagonal(), spread);
    HeadTransform out;
    out.rotation = Rotation::hadamard;
    out.center   = to_floats(k.mean);
    out.scale    = to_floats(scale);
    out.feedback = feedback_of(regularised(metric_after(rotation * scale.asDiagonal(), queries), bits));
    return out;
}

}  // namespace

double regulariser(const Eigen::VectorXd & eigenvalues, int bits) {
    const Eigen::ArrayXd values = eigenvalues.array().max(0.0);
    double               delta  = sigma2(bits) * values.maxCoeff() * 1e-3;  // above 0: a singular metric would stay at 0 for ever
    for (int round = 0; round < 200; ++round) {
        const double next = sigma2(bits) * std::exp((values + delta).log().mean());
        if (std::abs(next - delta) <= 1e-9 * next) break;
        delta = next;
    }
    return delta > 0.0 ? delta : 1e-12;
}

Eigen::MatrixXd equal_pivot_rotation(const Eigen::MatrixXd & g) {
    const Solver       s(g);
    const Eigen::Index n    = g.rows();
    const VectorXd     root = s.eigenvalues().cwiseMax(1e-300).cwiseSqrt();
    const double       mean = std::exp(root.array().log().mean());
    MatrixXd           p = s.eigenvectors(), b = root.asDiagonal();
    const auto         exchange = [&](Eigen::Index i, Eigen::Index j) {
        if (i == j) return;
        b.row(i).swap(b.row(j));
        b.col(i).swap(b.col(j));
        p.col(i).swap(p.col(j));
    };
    for (Eigen::Index k = 0; k + 1 < n; ++k) {
        // The rest of b is still diagonal: its largest and its smallest element enclose the mean.
        Eigen::Index top = k, low = k;
        for (Eigen::Index i = k; i < n; ++i) {
            if (b(i, i) > b(top, top)) top = i;
        }
        exchange(k, top);
        low = k + 1;
        for (Eigen::Index i = k + 1; i < n; ++i) {
            if (b(i, i) < b(low, low)) low = i;
        }
        exchange(k + 1, low);
        const double    d1 = b(k, k), d2 = b(k + 1, k + 1), gap = d1 * d1 - d2 * d2;
        const double    c2 = gap > 1e-300 ? std::min(1.0, std::max(0.0, (mean * mean - d2 * d2) / gap)) : 1.0;
        const double    c = std::sqrt(c2), t = std::sqrt(1.0 - c2);
        Eigen::Matrix2d right, left;
        right << c, -t, t, c;
        left << c * d1, -t * d2, t * d2, c * d1;
        const Eigen::Matrix2d rows = left.transpose() / mean;
        b.middleCols(k, 2)         = (b.middleCols(k, 2) * right).eval();
        p.middleCols(k, 2)         = (p.middleCols(k, 2) * right).eval();
        b.middleRows(k, 2)         = (rows * b.middleRows(k, 2)).eval();
    }
    return p.transpose();
}

std::vector<float> feedback_of(const Eigen::MatrixXd & g) {
    const Eigen::LLT<MatrixXd> factor(g);
    const MatrixXd             lower = factor.matrixL();
    const int                  n = static_cast<int>(g.rows()), stride = row_stride(n);
    std::vector<float>         out(static_cast<size_t>(n * stride), 0.0f);
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j < i; ++j) out[static_cast<size_t>(i * stride + j)] = static_cast<float>(lower(i, j) / lower(j, j));
    }
    return out;
}

HeadTransform design_key_transform(const HeadMoments & k, Rotation rotation, int bits) {
    return rotation == Rotation::dense ? dense_keys(k, bits) : hadamard_keys(k, bits);
}

HeadTransform design_value_transform(const HeadMoments & v) {
    const MatrixXd spread = steadied(v.spread);
    const double   scale  = unit_scale(MatrixXd::Identity(spread.rows(), spread.cols()), spread);
    HeadTransform  out;
    out.rotation = Rotation::hadamard;
    out.center   = to_floats(v.mean);
    out.scale.assign(static_cast<size_t>(spread.rows()), static_cast<float>(scale));
    return out;
}

}  // namespace kvt
