// Inputs with known traps, shared by all kernel and format tests.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "kvt/base/rng.h"
#include "kvt/quant/codec.h"

namespace kvt::test {

// --- Interface ---

enum class Shape { normal, outlier_channel, constant, zeros, ramp, one_spike, tiny, large };

inline const std::vector<Shape> & all_shapes() {
    static const std::vector<Shape> shapes{Shape::normal, Shape::outlier_channel, Shape::constant, Shape::zeros,
                                           Shape::ramp,   Shape::one_spike,       Shape::tiny,     Shape::large};
    return shapes;
}

// [n_rows][n] values of the given shape, reproducible from the seed.
inline std::vector<float> make_values(Shape shape, int n_rows, int n, uint64_t seed) {
    SplitMix64         rng(seed);
    std::vector<float> x(static_cast<size_t>(n_rows) * static_cast<size_t>(n));
    for (int r = 0; r < n_rows; ++r) {
        for (int i = 0; i < n; ++i) {
            const auto noise = static_cast<float>(rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2.0);
            float      v     = noise;
            switch (shape) {
                case Shape::normal:
                    break;
                case Shape::outlier_channel:
                    v = i % 17 == 3 ? 25.0f + 5.0f * noise : noise;
                    break;
                case Shape::constant:
                    v = 0.7f;
                    break;
                case Shape::zeros:
                    v = 0.0f;
                    break;
                case Shape::ramp:
                    v = static_cast<float>(i) - static_cast<float>(r);
                    break;
                case Shape::one_spike:
                    v = r == 1 && i == 2 ? 1000.0f : noise * 0.01f;
                    break;
                case Shape::tiny:
                    v = noise * 1e-6f;
                    break;
                case Shape::large:
                    v = noise * 20000.0f;
                    break;
            }
            x[static_cast<size_t>(r) * static_cast<size_t>(n) + static_cast<size_t>(i)] = v;
        }
    }
    return x;
}

// Every kind of format of this build for one side and head_dim.
inline std::vector<Format> all_formats(Side side, int head_dim) {
    std::vector<Format> formats{f16_format()};
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        formats.push_back(mode_format(Mode::per_token_asym, side, bits, head_dim));
        if (side == Side::key || head_dim >= 32) formats.push_back(mode_format(Mode::kivi, side, bits, head_dim));
        formats.push_back(mode_format(Mode::rotated, side, bits, head_dim));
        for (const Params params : {Params::f16, Params::byte}) {
            if (head_dim > 16)
                formats.push_back(
                    Format{Codec::int_asym, static_cast<uint8_t>(bits), Axis::per_token, Store::on_write, 16, params});
        }
        if (side == Side::key) {
            for (const uint16_t group : {uint16_t{64}, uint16_t{128}})
                formats.push_back(
                    Format{Codec::int_asym, static_cast<uint8_t>(bits), Axis::per_channel, Store::sealed_block, group});
        }
    }
    return formats;
}

// Masks for encode_tile: every token of a tile holds data.
inline constexpr uint32_t kAllValid[] = {~0u, ~0u, ~0u, ~0u};

// rows [n_tokens][head_dim] f32 as an f16 tile; n_tokens a multiple of 32.
inline std::vector<f16_t> make_f16_tile(const std::vector<float> & rows, Side side, int head_dim) {
    std::vector<f16_t> tile(rows.size() + 32);
    const int          n_tokens = static_cast<int>(rows.size()) / head_dim;
    for (int t = 0; t < n_tokens; ++t) {
        for (int d = 0; d < head_dim; ++d) {
            tile[f16_place(side, head_dim, t, d)] = f32_to_f16(rows[static_cast<size_t>(t * head_dim + d)]);
        }
    }
    return tile;
}

// Error feedback for head_dim channels (quant/codec.h), small enough that errors do not grow from channel to channel.
inline std::vector<f16_t> make_feedback(int head_dim, uint64_t seed) {
    const int          stride = (head_dim + 15) / 16 * 16;
    SplitMix64         rng(seed);
    std::vector<f16_t> feedback(static_cast<size_t>(head_dim * stride), 0);
    for (int i = 0; i < head_dim; ++i) {
        for (int j = 0; j < i; ++j)
            feedback[static_cast<size_t>(i * stride + j)] =
                f32_to_f16(static_cast<float>(rng.uniform() - 0.5) / std::sqrt(static_cast<float>(head_dim)));
    }
    return feedback;
}

// A gtest-safe name of a format.
inline std::string test_name(const Format & f) {
    std::string name = format_name(f);
    for (char & c : name) c = c == '.' ? '_' : c;
    return name;
}

}  // namespace kvt::test
