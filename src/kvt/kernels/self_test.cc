#include "kvt/kernels/self_test.h"

#include <algorithm>
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
    for (const int bits : kCodeWidths) {
        formats.push_back(mode_format(Mode::per_token_asym, side, bits, head_dim));
        formats.push_back(mode_format(Mode::kivi, side, bits, head_dim));
        formats.push_back(mode_format(Mode::rotated, side, bits, head_dim));
    }
    return formats;
}

// The rows as `kernels` stores them; feedback may be null.
std::vector<uint8_t> packed_tile(const KernelTable & kernels, const TileSpec & spec, const std::vector<float> & rows,
                                 const f16_t * feedback) {
    std::vector<uint8_t> tile(spec.bytes + 64);
    const uint32_t       all[kMaxParts] = {~0u, ~0u, ~0u, ~0u};
    if (spec.format.store == Store::sealed_block) {
        kernels.encode_tile(spec, to_f16_tile(rows, spec.side, spec.head_dim).data(), all, feedback, tile.data());
        return tile;
    }
    std::vector<TokenPlace> places;
    for (int t = 0; t < kBlockTokens; ++t) places.push_back({tile.data(), t});
    kernels.encode_tokens(spec, feedback, kBlockTokens, rows.data(), spec.head_dim, places.data());
    return tile;
}

std::vector<uint8_t> reference_tile(const TileSpec & spec, const std::vector<float> & rows) {
    return packed_tile(kKernelsScalar, spec, rows, nullptr);
}

std::string check_encoder(const KernelTable & kernels, const TileSpec & spec) {
    const std::vector<float> rows = make_rows(spec.head_dim);
    std::vector<f16_t>       feedback(static_cast<size_t>(spec.head_dim * spec.stride), 0);
    SplitMix64               rng(5);
    for (int i = 0; i < spec.head_dim; ++i) {
        for (int j = 0; j < i; ++j)
            feedback[static_cast<size_t>(i * spec.stride + j)] = f32_to_f16(static_cast<float>(rng.uniform() - 0.5) * 0.1f);
    }
    for (const f16_t * f : {static_cast<const f16_t *>(nullptr), static_cast<const f16_t *>(feedback.data())}) {
        const auto expected = packed_tile(kKernelsScalar, spec, rows, f), got = packed_tile(kernels, spec, rows, f);
        if (std::memcmp(expected.data(), got.data(), spec.bytes) != 0)
            return f == nullptr ? "packed bytes differ from the reference"
                                : "packed bytes with feedback differ from the reference";
    }
    return {};
}

std::string check_rotation(const KernelTable & kernels, int head_dim) {
    const int                stride = padded_dim(head_dim), n_rows = 11;
    const std::vector<float> rows = make_rows(head_dim);
    std::vector<f16_t>       columns(static_cast<size_t>(head_dim * stride));
    SplitMix64               rng(6);
    for (f16_t & x : columns) x = f32_to_f16(static_cast<float>(rng.uniform() - 0.5));
    for (const f16_t * matrix : {static_cast<const f16_t *>(nullptr), static_cast<const f16_t *>(columns.data())}) {
        const RotationSpec spec{matrix, head_dim, stride, 16};
        std::vector<float> a(static_cast<size_t>(n_rows * stride), 0.0f);
        for (int r = 0; r < n_rows; ++r)
            std::copy_n(&rows[static_cast<size_t>(r * head_dim)], head_dim, &a[static_cast<size_t>(r * stride)]);
        std::vector<float> b = a;
        kKernelsScalar.rotate(spec, n_rows, a.data());
        kernels.rotate(spec, n_rows, b.data());
        for (int r = 0; r < n_rows; ++r) {
            if (std::memcmp(&a[static_cast<size_t>(r * stride)], &b[static_cast<size_t>(r * stride)],
                            sizeof(float) * static_cast<size_t>(head_dim)) != 0)
                return fmt::format("row {} differs from the reference", r);
        }
    }
    return {};
}

// What one table makes of n_rows queries on one pair of tiles: outputs after one step of attention.
std::vector<float> attend_once(const KernelTable & kernels, const TileSpec & k, const TileSpec & v, int n_rows) {
    const std::vector<uint8_t> tile_k = reference_tile(k, make_rows(k.head_dim)),
                               tile_v = reference_tile(v, make_rows(v.head_dim));
    const auto         n = static_cast<size_t>(n_rows), stride = static_cast<size_t>(k.stride);
    std::vector<float> q(n * stride), scores(n * kBlockTokens), out(n * static_cast<size_t>(v.stride), 0.0f);
    SplitMix64         rng(11);
    for (size_t r = 0; r < n; ++r) {
        for (int d = 0; d < k.head_dim; ++d) q[r * stride + static_cast<size_t>(d)] = static_cast<float>(rng.uniform() - 0.5);
    }
    std::vector<int8_t>  parts(n * 2 * stride);
    const auto           groups_k = static_cast<size_t>(k.n_groups), groups_v = static_cast<size_t>(v.n_groups);
    std::vector<float>   step(n), shift(n * groups_k), weight(n * groups_k), constant(n * groups_v * 16, 0.0f);
    std::vector<float>   factor(n), m(n, -INFINITY), l(n, 0.0f);
    std::vector<uint8_t> operand_k(operand_bytes(k.head_dim)), operand_v(operand_bytes(v.head_dim));
    Ahead                nothing_ahead;
    const QueryRows      rows{n_rows, k.stride, k.n_groups, q.data(), parts.data(), step.data(), shift.data(), weight.data()};
    kernels.prepare_queries(k, tile_k.data(), rows);
    kernels.scores(k, tile_k.data(), {kernels.unpack(k, tile_k.data(), 0, operand_k.data())}, rows, nothing_ahead, scores.data());
    kernels.softmax_step(n_rows, scores.data(), m.data(), l.data(), factor.data());
    kernels.values(v, tile_v.data(), {kernels.unpack(v, tile_v.data(), 0, operand_v.data())}, n_rows, scores.data(),
                   factor.data(), l.data(), nothing_ahead, out.data(), constant.data());
    for (size_t r = 0; r < n; ++r) {
        for (int d = 0; d < v.head_dim; ++d) {
            const float * lanes = &constant[(r * groups_v + static_cast<size_t>(d / v.group)) * 16];
            float &       o     = out[r * static_cast<size_t>(v.stride) + static_cast<size_t>(d)];
            for (int i = 0; i < 16; ++i) o += lanes[i];
            o /= l[r];
        }
    }
    return out;
}

// Keys reach 45, so logits do too: rounding q to 13 bits (7 bits for narrow codes) moves them by at most 0.1, weights by a
// tenth, outputs (values around 1, one channel around 40) by less than half a unit.
std::string check_attention(const KernelTable & kernels, const TileSpec & k, const TileSpec & v, int n_rows) {
    const std::vector<float> expected = attend_once(kKernelsScalar, k, v, n_rows), got = attend_once(kernels, k, v, n_rows);
    for (int r = 0; r < n_rows; ++r) {
        for (int d = 0; d < v.head_dim; ++d) {
            const size_t i = static_cast<size_t>(r * v.stride + d);
            if (!(std::abs(expected[i] - got[i]) <= 0.5f))
                return fmt::format("output ({}, {}) is {}, expected {}", r, d, got[i], expected[i]);
        }
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
                    add(fmt::format("encode/{}/{}/{}/d{}", isa_name(isa), format_name(format),
                                    side == Side::key ? "key" : "value", head_dim),
                        check_encoder(*kernels, spec));
                }
            }
            add(fmt::format("rotate/{}/d{}", isa_name(isa), head_dim), check_rotation(*kernels, head_dim));
            const std::vector<Format> k_formats = formats_of(Side::key, head_dim), v_formats = formats_of(Side::value, head_dim);
            for (size_t i = 0; i < k_formats.size(); ++i) {
                const TileSpec k = make_tile_spec(k_formats[i], Side::key, head_dim),
                               v = make_tile_spec(v_formats[i], Side::value, head_dim);
                for (const int n_rows : {1, 3, 7, 32}) {
                    add(fmt::format("attend/{}/{}/d{}/rows{}", isa_name(isa), format_name(k_formats[i]), head_dim, n_rows),
                        check_attention(*kernels, k, v, n_rows));
                }
            }
        }
    }
    return lines;
}

}  // namespace kvt
