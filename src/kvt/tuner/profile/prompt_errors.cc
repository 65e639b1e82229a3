#include "kvt/tuner/profile/prompt_errors.h"

#include <algorithm>
#include <cmath>

#include "kvt/quant/codec.h"

namespace kvt {

namespace {

// Rows of one head as the cache would return them.   rows, result [n_tokens][head_dim]
std::vector<float> simulate(const std::vector<float> & rows, Mode mode, Side side, int bits, int head_dim) {
    const Format         f        = mode_format(mode, side, bits, head_dim);
    const int            n_tokens = static_cast<int>(rows.size()) / head_dim;
    std::vector<float>   out      = rows;
    std::vector<uint8_t> tile(tile_bytes(f, side, head_dim));
    std::vector<f16_t>   half(static_cast<size_t>(kBlockTokens * head_dim));
    for (int first = 0; first < n_tokens; first += kBlockTokens) {
        const int n = std::min(kBlockTokens, n_tokens - first);
        if (f.store == Store::sealed_block) {
            if (n < kBlockTokens) break;
            for (int t = 0; t < n; ++t) {
                for (int d = 0; d < head_dim; ++d)
                    half[f16_place(side, head_dim, t, d)] = f32_to_f16(rows[static_cast<size_t>((first + t) * head_dim + d)]);
            }
            const uint32_t all = 0xffffffffu;
            (void)encode_tile(f, side, head_dim, half.data(), &all, nullptr, tile.data());
        } else {
            for (int t = 0; t < n; ++t)
                (void)encode_token(f, side, head_dim, t, &rows[static_cast<size_t>((first + t) * head_dim)], nullptr,
                                   tile.data());
        }
        for (int t = 0; t < n; ++t)
            decode_token(f, side, head_dim, t, tile.data(), &out[static_cast<size_t>((first + t) * head_dim)]);
    }
    return out;
}

// The rows of one KV head out of [n_tokens][n_heads][head_dim].
std::vector<float> head_rows(const std::vector<float> & all, int n_tokens, int n_heads, int head, int head_dim) {
    std::vector<float> rows;
    rows.reserve(static_cast<size_t>(n_tokens * head_dim));
    for (int t = 0; t < n_tokens; ++t) {
        const auto at = all.begin() + (static_cast<ptrdiff_t>(t) * n_heads + head) * head_dim;
        rows.insert(rows.end(), at, at + head_dim);
    }
    return rows;
}

double relative(const float * exact, const float * other, int n, double eps) {
    double difference = 0, size = 0;
    for (int i = 0; i < n; ++i) {
        difference += std::abs(double{exact[i]} - double{other[i]});
        size += std::abs(double{exact[i]});
    }
    return difference / std::max(size, eps * n);
}

double mean_row_error(const std::vector<float> & exact, const std::vector<float> & other, int dim, double eps) {
    const int n_rows = static_cast<int>(exact.size()) / dim;
    double    sum    = 0;
    for (int r = 0; r < n_rows; ++r)
        sum += relative(&exact[static_cast<size_t>(r * dim)], &other[static_cast<size_t>(r * dim)], dim, eps);
    return sum / n_rows;
}

// Eight running sums let the compiler use vectors without reordering a single one.
float dot(const float * a, const float * b, int n) {
    float sums[8] = {};
    int   i       = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
    }
    for (; i < n; ++i) sums[0] += a[i] * b[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// a = softmax(scale q K^T) over n tokens.
void attention(const float * q, const std::vector<float> & k, int n, int dim, float scale, std::vector<float> & a) {
    a.resize(static_cast<size_t>(n));
    float top = -INFINITY;
    for (int t = 0; t < n; ++t) {
        a[static_cast<size_t>(t)] = scale * dot(q, &k[static_cast<size_t>(t * dim)], dim);
        top                       = std::max(top, a[static_cast<size_t>(t)]);
    }
    double sum = 0;
    for (float & x : a) {
        x = std::exp(x - top);
        sum += double{x};
    }
    const float inverse = static_cast<float>(1.0 / sum);
    for (float & x : a) x *= inverse;
}

void weighted_sum(const std::vector<float> & a, const std::vector<float> & v, int dim, std::vector<float> & o) {
    o.assign(static_cast<size_t>(dim), 0.0f);
    for (size_t t = 0; t < a.size(); ++t) {
        const float * row = &v[t * static_cast<size_t>(dim)];
        for (int d = 0; d < dim; ++d) o[static_cast<size_t>(d)] += a[t] * row[d];
    }
}

void add_pattern(const std::vector<float> & a, double share, HeadPattern & sum) {
    const int    n = static_cast<int>(a.size()), sinks = std::min(kSinkTokens, n), recent = std::max(sinks, n - kRecentTokens);
    const double floor = kSparseWeight * double{*std::max_element(a.begin(), a.end())};
    int          small = 0;
    for (int t = 0; t < n; ++t) {
        const double weight = double{a[static_cast<size_t>(t)]};
        small += weight < floor;
        if (t < sinks) sum.sink_mass += share * weight;
        if (t >= recent) sum.recent_mass += share * weight;
    }
    sum.sparsity += share * small / n;
}

// Mean over prompts by head; none if a prompt has none (measured by an older version).
std::vector<HeadPattern> mean_patterns(const std::vector<LayerErrors> & prompts) {
    std::vector<HeadPattern> mean(prompts.front().patterns.size());
    const double             share = 1.0 / static_cast<double>(prompts.size());
    for (const LayerErrors & prompt : prompts) {
        if (prompt.patterns.size() != mean.size()) return {};
        for (size_t h = 0; h < mean.size(); ++h) {
            mean[h].sparsity += share * prompt.patterns[h].sparsity;
            mean[h].sink_mass += share * prompt.patterns[h].sink_mass;
            mean[h].recent_mass += share * prompt.patterns[h].recent_mass;
        }
    }
    return mean;
}

template <size_t N>
std::array<double, N> mean_of(const std::vector<std::array<double, N>> & rows) {
    std::array<double, N> sum{};
    for (const auto & row : rows) {
        for (size_t i = 0; i < N; ++i) sum[i] += row[i];
    }
    for (double & x : sum) x /= static_cast<double>(rows.size());
    return sum;
}

}  // namespace

LayerErrors prompt_errors(const LayerCapture & c, Mode mode, double eps) {
    LayerErrors errors;
    errors.e_a_head.resize(static_cast<size_t>(c.n_q_heads));
    errors.e_o_head.resize(static_cast<size_t>(c.n_q_heads));
    errors.patterns.resize(static_cast<size_t>(c.n_q_heads));
    const int gqa_ratio = c.n_q_heads / c.n_kv_heads;
    for (int h = 0; h < c.n_kv_heads; ++h) {
        const std::vector<float>          k = head_rows(c.k, c.n_tokens, c.n_kv_heads, h, c.head_dim_k);
        const std::vector<float>          v = head_rows(c.v, c.n_tokens, c.n_kv_heads, h, c.head_dim_v);
        std::array<std::vector<float>, 3> k_bits, v_bits;
        errors.e_k_head.emplace_back();
        errors.e_v_head.emplace_back();
        for (size_t b = 0; b < kBits.size(); ++b) {
            k_bits[b]                 = simulate(k, mode, Side::key, kBits[b], c.head_dim_k);
            v_bits[b]                 = simulate(v, mode, Side::value, kBits[b], c.head_dim_v);
            errors.e_k_head.back()[b] = mean_row_error(k, k_bits[b], c.head_dim_k, eps);
            errors.e_v_head.back()[b] = mean_row_error(v, v_bits[b], c.head_dim_v, eps);
        }
        std::vector<float> a, a_bits, o, o_bits;
        for (int head = h * gqa_ratio; head < (h + 1) * gqa_ratio; ++head) {
            auto & e_a = errors.e_a_head[static_cast<size_t>(head)];
            auto & e_o = errors.e_o_head[static_cast<size_t>(head)];
            for (int step = 0; step < c.n_steps; ++step) {
                const float * q =
                    &c.q[(static_cast<size_t>(step) * static_cast<size_t>(c.n_q_heads) + static_cast<size_t>(head)) *
                         static_cast<size_t>(c.head_dim_k)];
                const int n = c.n_tokens - c.n_steps + step + 1;
                attention(q, k, n, c.head_dim_k, c.scale, a);
                weighted_sum(a, v, c.head_dim_v, o);
                add_pattern(a, 1.0 / c.n_steps, errors.patterns[static_cast<size_t>(head)]);
                for (size_t kb = 0; kb < kBits.size(); ++kb) {
                    attention(q, k_bits[kb], n, c.head_dim_k, c.scale, a_bits);
                    double difference = 0;
                    for (int t = 0; t < n; ++t)
                        difference += std::abs(double{a[static_cast<size_t>(t)]} - double{a_bits[static_cast<size_t>(t)]});
                    e_a[kb] += difference / n / c.n_steps;
                    for (size_t vb = 0; vb < kBits.size(); ++vb) {
                        weighted_sum(a_bits, v_bits[vb], c.head_dim_v, o_bits);
                        e_o[3 * kb + vb] += relative(o.data(), o_bits.data(), c.head_dim_v, eps) / c.n_steps;  // kPairs order
                    }
                }
            }
        }
    }
    errors.e_k = mean_of(errors.e_k_head);
    errors.e_v = mean_of(errors.e_v_head);
    errors.e_a = mean_of(errors.e_a_head);
    errors.e_o = mean_of(errors.e_o_head);
    return errors;
}

LayerErrors mean_errors(const std::vector<LayerErrors> & prompts) {
    LayerErrors mean         = prompts.front();
    const auto  n            = static_cast<double>(prompts.size());
    const auto  over_prompts = [&](auto member) {
        auto & rows = mean.*member;
        for (size_t h = 0; h < rows.size(); ++h) {
            for (size_t i = 0; i < rows[h].size(); ++i) {
                double sum = 0;
                for (const LayerErrors & p : prompts) sum += (p.*member)[h][i];
                rows[h][i] = sum / n;
            }
        }
    };
    over_prompts(&LayerErrors::e_k_head);
    over_prompts(&LayerErrors::e_v_head);
    over_prompts(&LayerErrors::e_a_head);
    over_prompts(&LayerErrors::e_o_head);
    mean.patterns = mean_patterns(prompts);
    mean.e_k      = mean_of(mean.e_k_head);
    mean.e_v      = mean_of(mean.e_v_head);
    mean.e_a      = mean_of(mean.e_a_head);
    mean.e_o      = mean_of(mean.e_o_head);
    return mean;
}

}  // namespace kvt
