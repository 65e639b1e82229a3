#include "kvt/tuner/calibrate/moments.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvt {

namespace {

constexpr int kSequence = 256;

// Sums over rows of one head. Products of a batch are float, their sums double.
struct Sums {
    Eigen::VectorXd sum;
    Eigen::MatrixXd products;
    double          n = 0;

    void add(const Eigen::MatrixXf & rows) {  // [n, d]
        if (n == 0) {
            sum      = Eigen::VectorXd::Zero(rows.cols());
            products = Eigen::MatrixXd::Zero(rows.cols(), rows.cols());
        }
        sum += rows.colwise().sum().transpose().cast<double>();
        products += (rows.transpose() * rows).cast<double>();
        n += static_cast<double>(rows.rows());
    }
};

struct LayerSums {
    std::vector<Sums> k, v, q;  // [n_kv_heads]
};

class Collector {
public:
    Collector(const ModelInfo & model, int n_q_heads) : gqa_ratio_(n_q_heads / model.n_kv_heads) {
        const auto heads = static_cast<size_t>(model.n_kv_heads);
        layers_.resize(static_cast<size_t>(model.n_layer));
        for (LayerSums & l : layers_) l = {std::vector<Sums>(heads), std::vector<Sums>(heads), std::vector<Sums>(heads)};
    }

    void take(const Tap & tap) {
        if (tap.layer < 0 || tap.layer >= static_cast<int>(layers_.size())) return;
        LayerSums & layer = layers_[static_cast<size_t>(tap.layer)];
        for (int h = 0; h < tap.n_heads; ++h) {
            switch (tap.kind) {
                case Tap::Kind::k:
                    layer.k[static_cast<size_t>(h)].add(rows_of(tap, h, kSkippedTokens));
                    break;
                case Tap::Kind::v:
                    layer.v[static_cast<size_t>(h)].add(rows_of(tap, h, kSkippedTokens));
                    break;
                case Tap::Kind::q:
                    layer.q[static_cast<size_t>(h / gqa_ratio_)].add(rows_of(tap, h, 0));
                    break;
            }
        }
    }

    Result<std::vector<LayerMoments>> moments() const {
        std::vector<LayerMoments> out;
        for (size_t l = 0; l < layers_.size(); ++l) {
            LayerMoments m;
            for (size_t h = 0; h < layers_[l].k.size(); ++h) {
                const Sums & k = layers_[l].k[h];
                const Sums & v = layers_[l].v[h];
                const Sums & q = layers_[l].q[h];
                if (k.n < 2 || v.n < 2 || q.n < 1)
                    return Error{fmt::format(
                        "layer {} showed no keys, values or queries: this model's attention cannot be calibrated", l)};
                m.k.push_back(centered(k));
                m.k.back().queries = q.products / q.n;
                m.v.push_back(centered(v));
            }
            out.push_back(std::move(m));
        }
        return out;
    }

private:
    static Eigen::MatrixXf rows_of(const Tap & tap, int head, int skip) {
        const int       n = std::max(0, tap.n_tokens - skip);
        Eigen::MatrixXf rows(n, tap.head_dim);
        for (int t = 0; t < n; ++t)
            rows.row(t) = Eigen::Map<const Eigen::RowVectorXf>(tap.data + (t + skip) * tap.stride_token + head * tap.stride_head,
                                                               tap.head_dim);
        return rows;
    }

    static HeadMoments centered(const Sums & s) {
        HeadMoments m;
        m.mean   = s.sum / s.n;
        m.spread = s.products / s.n - m.mean * m.mean.transpose();
        return m;
    }

    int                    gqa_ratio_;
    std::vector<LayerSums> layers_;
};

}  // namespace

Result<std::vector<LayerMoments>> measure_moments(ModelRunner & runner, const std::vector<Token> & tokens, int positions,
                                                  int n_threads, Progress & progress) {
    const int n_sequences = static_cast<int>(tokens.size()) / kSequence;
    if (n_sequences < 1)
        return Error{fmt::format("{} tokens of calibration text: at least {} are needed", tokens.size(), kSequence)};
    Collector      collector(runner.info(), runner.n_q_heads());
    SessionOptions options;
    options.plan  = f16_plan(runner.info());
    options.n_ctx = options.n_batch = options.n_ubatch = kSequence;  // one batch each: taps see whole sequences
    options.n_threads                                  = n_threads;
    options.tap                                        = [&collector](const Tap & tap) { collector.take(tap); };
    KVT_TRY(const auto session, runner.open(options));
    progress.begin("calibrate", n_sequences);
    for (int i = 0; i < n_sequences; ++i) {
        if (interrupted()) return Error{"interrupted: run the same command again"};
        const int64_t room = std::max(0, positions - kSequence);
        session->clear(n_sequences == 1 ? 0 : static_cast<int>(room * i / (n_sequences - 1)));
        const auto sequence = std::span<const Token>(tokens).subspan(static_cast<size_t>(i * kSequence), kSequence);
        KVT_CHECK_OK(session->decode(sequence, session->position() + kSequence, {}));
        progress.done(1);
    }
    progress.end();
    return collector.moments();
}

}  // namespace kvt
