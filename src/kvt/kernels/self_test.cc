#include "kvt/kernels/self_test.h"

#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "kvt/base/rng.h"
#include "kvt/kernels/kernel_table.h"

namespace kvt {

namespace {

constexpr int kHeadDims[] = {64, 80, 128};

// Normal-ish values with one outlier channel, a constant token and a token of zeros: what real keys look like.
std::vector<float> make_rows(int head_dim) {
    SplitMix64         rng(7);
    std::vector<float> rows(static_cast<size_t>(kBlockTokens * head_dim));
    for (int t = 0; t < kBlockTokens; ++t) {
        for (int d = 0; d < head_dim; ++d) {
            float x = static_cast<float>(rng.uniform() + rng.uniform() + rng.uniform() - 1.5);
            if (d == 5) x = x * 10.0f + 40.0f;
            if (t == 3) x = 1.25f;
            if (t == 4) x = 0.0f;
            rows[static_cast<size_t>(t * head_dim + d)] = x;
        }
    }
    return rows;
}

std::vector<f16_t> to_f16_tile(const std::vector<float> & rows, Side side, int head_dim) {
    std::vector<f16_t> tile(rows.size() + 32);
    for (int t = 0; t < kBlockTokens; ++t) {
        for (int d = 0; d < head_dim; ++d)
            tile[f16_place(side, head_dim, t, d)] = f32_to_f16(rows[static_cast<size_t>(t * head_dim + d)]);
    }
    return tile;
}

std::vector<Format> formats_of(Side side, int head_dim) {
    std::vector<Format> formats{f16_format()};
    for (const int bits : {2, 4, 8}) {
        formats.push_back(mode_format(Mode::per_token_asym, side, bits, head_dim));
        formats.push_back(mode_format(Mode::kivi, side, bits, head_dim));
    }
    return formats;
}

std::string check_codec(const KernelTable & kernels, const TileSpec & spec) {
    const std::vector<float> rows = make_rows(spec.head_dim);
    const std::vector<f16_t> half = to_f16_tile(rows, spec.side, spec.head_dim);
    std::vector<uint8_t>     expected(spec.bytes + 64), got(spec.bytes + 64);
    if (spec.format.store == Store::sealed_block) {
        kKernelsScalar.encode_tile(spec, half.data(), 0xffffffffu, expected.data());
        kernels.encode_tile(spec, half.data(), 0xffffffffu, got.data());
    } else {
        for (int t = 0; t < kBlockTokens; ++t) {
            kKernelsScalar.encode_token(spec, t, &rows[static_cast<size_t>(t * spec.head_dim)], expected.data());
            kernels.encode_token(spec, t, &rows[static_cast<size_t>(t * spec.head_dim)], got.data());
        }
    }
    if (std::memcmp(expected.data(), got.data(), spec.bytes) != 0) return "packed bytes differ from the reference";
    const size_t       n = static_cast<size_t>(kBlockTokens) * static_cast<size_t>(spec.stride);
    std::vector<float> decoded_expected(n), decoded(n);
    kKernelsScalar.decode(spec, expected.data(), decoded_expected.data());
    kernels.decode(spec, expected.data(), decoded.data());
    for (int t = 0; t < kBlockTokens; ++t) {
        for (int d = 0; d < spec.head_dim; ++d) {
            const size_t i = static_cast<size_t>(spec.side == Side::key ? d * kBlockTokens + t : t * spec.stride + d);
            if (decoded[i] != decoded_expected[i]) {
                return fmt::format("decoded element ({}, {}) is {}, expected {}", t, d, decoded[i], decoded_expected[i]);
            }
        }
    }
    return {};
}

// Largest difference relative to the size of the sums, against a bound of n roundings of f32.
std::string check_sums(const KernelTable & kernels, int head_dim, int n_rows) {
    const std::vector<float> k      = make_rows(head_dim);
    const int                stride = padded_dim(head_dim);
    std::vector<float>       q(static_cast<size_t>(n_rows * head_dim)), v(static_cast<size_t>(kBlockTokens * stride), 0.5f);
    SplitMix64               rng(11);
    for (float & x : q) x = static_cast<float>(rng.uniform() - 0.5);
    for (float & x : v) x = static_cast<float>(rng.uniform() - 0.5);
    const size_t       n_scores = static_cast<size_t>(n_rows * kBlockTokens), n_acc = static_cast<size_t>(n_rows * stride);
    std::vector<float> s0(n_scores), s1(n_scores), o0(n_acc, 1.0f), o1(n_acc, 1.0f);
    std::vector<float> factor(static_cast<size_t>(n_rows), 0.5f);
    kKernelsScalar.qk(n_rows, head_dim, q.data(), head_dim, k.data(), s0.data());
    kernels.qk(n_rows, head_dim, q.data(), head_dim, k.data(), s1.data());
    const float tolerance = 1e-5f * static_cast<float>(head_dim);
    for (size_t i = 0; i < n_scores; ++i) {
        if (!(std::abs(s0[i] - s1[i]) <= tolerance)) return fmt::format("score {} is {}, expected {}", i, s1[i], s0[i]);
    }
    s1 = s0;
    for (int r = 0; r < n_rows; ++r) {
        float       m0 = -INFINITY, l0 = 0, m1 = -INFINITY, l1 = 0;
        const float f0 = kKernelsScalar.softmax_step(&s0[static_cast<size_t>(r * kBlockTokens)], &m0, &l0);
        const float f1 = kernels.softmax_step(&s1[static_cast<size_t>(r * kBlockTokens)], &m1, &l1);
        if (f0 != f1 || m0 != m1 || !(std::abs(l0 - l1) <= 1e-5f * l0)) return fmt::format("softmax of row {} differs", r);
    }
    kKernelsScalar.pv(n_rows, stride, s0.data(), factor.data(), v.data(), o0.data());
    kernels.pv(n_rows, stride, s1.data(), factor.data(), v.data(), o1.data());
    for (size_t i = 0; i < n_acc; ++i) {
        if (!(std::abs(o0[i] - o1[i]) <= 1e-4f)) return fmt::format("output {} is {}, expected {}", i, o1[i], o0[i]);
    }
    return {};
}

}  // namespace

std::vector<SelfTestLine> run_self_test() {
    std::vector<SelfTestLine> lines;
    const auto                add = [&](std::string name, std::string detail) {
        const bool ok = detail.empty();
        lines.push_back({std::move(name), ok, std::move(detail)});
    };
    for (const Isa isa : available_isas()) {
        const KernelTable * kernels = kernel_table(isa);
        if (kernels == nullptr) continue;
        for (const int head_dim : kHeadDims) {
            for (const Side side : {Side::key, Side::value}) {
                for (const Format & format : formats_of(side, head_dim)) {
                    const TileSpec spec = make_tile_spec(format, side, head_dim);
                    add(fmt::format("codec/{}/{}/{}/d{}", isa_name(isa), format_name(format), side == Side::key ? "key" : "value",
                                    head_dim),
                        check_codec(*kernels, spec));
                }
            }
            for (const int n_rows : {1, 3, 7, 32}) {
                add(fmt::format("attend/{}/d{}/rows{}", isa_name(isa), head_dim, n_rows), check_sums(*kernels, head_dim, n_rows));
            }
        }
    }
    return lines;
}

}  // namespace kvt
