// Attention over packed tiles against a float64 softmax over the decoded values, on every ISA.
#include "kvt/kernels/attend.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "support/inputs.h"

namespace kvt {
namespace {

struct Problem {
    int   n_rows = 3, head_dim = 64, n_cells = 100;
    Mode  mode   = Mode::kivi;
    int   k_bits = 4, v_bits = 4;
    float softcap = 0;
    bool  mask = true, slopes = false;
};

// Packed K and V of one head with their decoded values.
struct Head {
    TileSpec             spec, open;
    std::vector<uint8_t> tiles;
    std::vector<float>   decoded;  // [n_cells rounded up][head_dim]

    Head(const Format & f, Side side, int head_dim, int n_cells, uint64_t seed)
        : spec(make_tile_spec(f, side, head_dim)), open(make_tile_spec(f16_format(), side, head_dim)) {
        const int n_blocks = (n_cells + kBlockTokens - 1) / kBlockTokens;
        tiles.resize(static_cast<size_t>(n_blocks) * spec.bytes + 64);
        decoded.resize(static_cast<size_t>(n_blocks * kBlockTokens * head_dim));
        const auto rows = test::make_values(test::Shape::outlier_channel, n_blocks * kBlockTokens, head_dim, seed);
        for (int b = 0; b < n_blocks; ++b) {
            uint8_t *                tile = tiles.data() + static_cast<size_t>(b) * spec.bytes;
            const std::vector<float> block(rows.begin() + b * kBlockTokens * head_dim,
                                           rows.begin() + (b + 1) * kBlockTokens * head_dim);
            if (f.codec == Codec::f16) {
                for (int t = 0; t < kBlockTokens; ++t)
                    (void)encode_token(f, side, head_dim, t, &block[static_cast<size_t>(t * head_dim)], tile);
            } else {
                (void)encode_tile(f, side, head_dim, test::make_f16_tile(block, side, head_dim).data(), 0xffffffffu, tile);
            }
            for (int t = 0; t < kBlockTokens; ++t)
                decode_token(f, side, head_dim, t, tile, &decoded[static_cast<size_t>((b * kBlockTokens + t) * head_dim)]);
        }
    }

    HeadTiles view() const { return {&spec, &open, tiles.data(), nullptr, nullptr, 0, 0}; }
};

class Attend : public testing::TestWithParam<Isa> {
protected:
    // Largest error of any output element relative to the largest |v|.
    double run(const Problem & p, int64_t split_at = 0) {
        const int                       D = p.head_dim;
        const Head                      k(mode_format(p.mode, Side::key, p.k_bits, D), Side::key, D, p.n_cells, 1);
        const Head                      v(mode_format(p.mode, Side::value, p.v_bits, D), Side::value, D, p.n_cells, 2);
        auto                            q = test::make_values(test::Shape::normal, p.n_rows, D, 3);
        SplitMix64                      rng(4);
        std::vector<std::vector<f16_t>> masks(static_cast<size_t>(p.n_rows),
                                              std::vector<f16_t>(static_cast<size_t>(p.n_cells), 0));
        std::vector<const f16_t *>      mask_rows;
        std::vector<float>              slopes;
        for (int r = 0; r < p.n_rows; ++r) {
            for (int c = 0; c < p.n_cells; ++c) {
                f16_t & m = masks[static_cast<size_t>(r)][static_cast<size_t>(c)];
                if (p.slopes) m = f32_to_f16(-std::abs(static_cast<float>(c - 40)));
                if (c > p.n_cells - p.n_rows + r || (c >= 32 && c < 64 && r != 1) || rng.below(7) == 0) m = 0xfc00;
            }
            masks[static_cast<size_t>(r)][0] = 0;
            mask_rows.push_back(masks[static_cast<size_t>(r)].data());
            slopes.push_back(p.slopes ? 0.01f * static_cast<float>(r + 1) : 1.0f);
        }

        const AttendRows    rows{p.n_rows, q.data(), p.mask ? mask_rows.data() : nullptr, p.slopes ? slopes.data() : nullptr,
                              p.softcap};
        const size_t        state_floats = static_cast<size_t>(p.n_rows) * static_cast<size_t>(padded_dim(D) + 2);
        std::vector<float>  memory(2 * state_floats), scratch(attend_scratch_floats(D, D));
        const auto          state_at = [&](float * at) { return AttendState{at, at + p.n_rows, at + 2 * p.n_rows}; };
        const AttendState   a = state_at(memory.data()), b = state_at(memory.data() + state_floats);
        const KernelTable & kernels = *kernel_table(GetParam());
        attend_init(a, p.n_rows, D);
        attend_init(b, p.n_rows, D);
        if (split_at == 0) {
            attend(kernels, k.view(), v.view(), rows, 0, p.n_cells, a, scratch.data());
        } else {
            attend(kernels, k.view(), v.view(), rows, 0, split_at, a, scratch.data());
            attend(kernels, k.view(), v.view(), rows, split_at, p.n_cells, b, scratch.data());
            attend_merge(a, b, p.n_rows, D);
        }
        std::vector<float>   out(static_cast<size_t>(p.n_rows * D));
        std::vector<float *> out_rows;
        for (int r = 0; r < p.n_rows; ++r) out_rows.push_back(&out[static_cast<size_t>(r * D)]);
        attend_finish(a, p.n_rows, D, out_rows.data());

        double worst = 0, largest = 0;
        for (const float x : v.decoded) largest = std::max(largest, std::abs(double{x}));
        for (int r = 0; r < p.n_rows; ++r) {
            std::vector<double> logits, o(static_cast<size_t>(D), 0.0);
            double              top = -std::numeric_limits<double>::infinity(), sum = 0;
            for (int c = 0; c < p.n_cells; ++c) {
                double s = 0;
                for (int d = 0; d < D; ++d)
                    s += double{q[static_cast<size_t>(r * D + d)]} * double{k.decoded[static_cast<size_t>(c * D + d)]};
                if (p.softcap != 0) s = double{p.softcap} * std::tanh(s / double{p.softcap});
                const f16_t m = masks[static_cast<size_t>(r)][static_cast<size_t>(c)];
                if (p.mask)
                    s = m == 0xfc00 ? -std::numeric_limits<double>::infinity()
                                    : s + double{slopes[static_cast<size_t>(r)]} * double{f16_to_f32(m)};
                logits.push_back(s);
                top = std::max(top, s);
            }
            for (int c = 0; c < p.n_cells; ++c) {
                const double w = std::exp(logits[static_cast<size_t>(c)] - top);
                sum += w;
                for (int d = 0; d < D; ++d) o[static_cast<size_t>(d)] += w * double{v.decoded[static_cast<size_t>(c * D + d)]};
            }
            for (int d = 0; d < D; ++d)
                worst = std::max(worst, std::abs(out[static_cast<size_t>(r * D + d)] - o[static_cast<size_t>(d)] / sum));
        }
        return worst / largest;
    }

    // Logits reach about 200 here, so one f32 rounding of a logit moves a weight by 200 * 2^-24 = 1.2e-5, times a few.
    static constexpr double kBound = 1e-4;
};

TEST_P(Attend, EveryPairOfBothModes) {
    for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
        for (const int k_bits : {2, 4, 8, 16}) {
            for (const int v_bits : {2, 4, 8, 16}) {
                Problem p;
                p.mode   = mode;
                p.k_bits = k_bits;
                p.v_bits = v_bits;
                EXPECT_LT(run(p), kBound) << mode_name(mode) << " " << k_bits << " " << v_bits;
            }
        }
    }
}

TEST_P(Attend, LengthsAroundTileBorders) {
    for (const int n_cells : {1, 2, 31, 32, 33, 63, 64, 65, 95, 96, 97, 300}) {
        Problem p;
        p.n_cells = n_cells;
        p.n_rows  = 1;
        EXPECT_LT(run(p), kBound) << n_cells;
        p.mask = false;
        EXPECT_LT(run(p), kBound) << n_cells << " without mask";
    }
}

TEST_P(Attend, HeadDimsAndRowCounts) {
    for (const int head_dim : {32, 40, 64, 80, 96, 112, 128, 256}) {
        for (const int n_rows : {1, 5, 16, 64}) {
            Problem p;
            p.head_dim = head_dim;
            p.n_rows   = n_rows;
            EXPECT_LT(run(p), kBound) << head_dim << " " << n_rows;
        }
    }
}

TEST_P(Attend, SoftcapAndSlopes) {
    Problem p;
    p.softcap = 30.0f;
    EXPECT_LT(run(p), kBound);
    p.slopes = true;
    EXPECT_LT(run(p), kBound);
    p.softcap = 0;
    EXPECT_LT(run(p), kBound);
}

TEST_P(Attend, SplittingTheCellsChangesNothingButRounding) {
    Problem p;
    p.n_cells = 200;
    for (const int64_t at : {32, 64, 160, 192}) EXPECT_LT(run(p, at), kBound) << at;
}

TEST_P(Attend, SinkTakesWeightWithoutValue) {
    const KernelTable & kernels = *kernel_table(GetParam());
    const Head          k(f16_format(), Side::key, 32, 32, 1), v(f16_format(), Side::value, 32, 32, 2);
    std::vector<float>  q(32, 0.0f), memory(34), scratch(attend_scratch_floats(32, 32)), out(32);
    const AttendState   state{memory.data(), memory.data() + 1, memory.data() + 2};
    attend_init(state, 1, 32);
    attend(kernels, k.view(), v.view(), AttendRows{1, q.data(), nullptr, nullptr, 0}, 0, 32, state, scratch.data());
    const float sink = std::log(32.0f);  // as much weight as the 32 equal cells together
    attend_sink(state, &sink, 1, 32);
    float * row = out.data();
    attend_finish(state, 1, 32, &row);
    for (int d = 0; d < 32; ++d) {
        double sum = 0;
        for (int t = 0; t < 32; ++t) sum += double{v.decoded[static_cast<size_t>(t * 32 + d)]};
        EXPECT_NEAR(out[static_cast<size_t>(d)], sum / 64.0, 1e-4);
    }
}

TEST_P(Attend, RowsThatSeeNothingAreZero) {
    const KernelTable & kernels = *kernel_table(GetParam());
    const Head          k(f16_format(), Side::key, 32, 64, 1), v(f16_format(), Side::value, 32, 64, 2);
    std::vector<float>  q(32, 1.0f), memory(34), scratch(attend_scratch_floats(32, 32)), out(32, 7.0f);
    std::vector<f16_t>  mask(64, 0xfc00);
    const f16_t *       mask_row = mask.data();
    const AttendState   state{memory.data(), memory.data() + 1, memory.data() + 2};
    attend_init(state, 1, 32);
    attend(kernels, k.view(), v.view(), AttendRows{1, q.data(), &mask_row, nullptr, 0}, 0, 64, state, scratch.data());
    float * row = out.data();
    attend_finish(state, 1, 32, &row);
    for (const float x : out) EXPECT_EQ(x, 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Isa, Attend, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
