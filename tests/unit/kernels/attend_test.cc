// Attention over packed tiles on every ISA, against the scalar table and against a float64 softmax over the decoded values.
#include "kvt/kernels/attend.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/base/aligned_buffer.h"
#include "support/inputs.h"

namespace kvt {
namespace {

struct Problem {
    int   n_rows = 3, head_dim = 64, n_cells = 100;
    Mode  mode   = Mode::kivi;
    int   k_bits = 4, v_bits = 4, k_group = 0;  // k_group: tokens of a channel group, 0: the mode's
    float softcap = 0;
    bool  mask = true, slopes = false;
};

// Packed K and V of one head with their decoded values.
struct Head {
    TileSpec           spec, open;
    AlignedBuffer      tiles;
    std::vector<float> decoded;  // [n_cells rounded up][head_dim]

    Head(const Format & f, Side side, int head_dim, int n_cells, uint64_t seed)
        : spec(make_tile_spec(f, side, head_dim)), open(make_tile_spec(f16_format(), side, head_dim)) {
        const int n_tokens = tile_tokens(f), n_blocks = (n_cells + n_tokens - 1) / n_tokens;
        tiles.reserve(static_cast<size_t>(n_blocks) * spec.bytes + 64);
        decoded.resize(static_cast<size_t>(n_blocks * n_tokens * head_dim));
        const auto rows = test::make_values(test::Shape::outlier_channel, n_blocks * n_tokens, head_dim, seed);
        for (int b = 0; b < n_blocks; ++b) {
            uint8_t *                tile = tiles.data() + static_cast<size_t>(b) * spec.bytes;
            const std::vector<float> block(rows.begin() + b * n_tokens * head_dim, rows.begin() + (b + 1) * n_tokens * head_dim);
            if (f.codec == Codec::f16) {
                for (int t = 0; t < n_tokens; ++t)
                    (void)encode_token(f, side, head_dim, t, &block[static_cast<size_t>(t * head_dim)], tile);
            } else {
                (void)encode_tile(f, side, head_dim, test::make_f16_tile(block, side, head_dim).data(), test::kAllValid, tile);
            }
            for (int t = 0; t < n_tokens; ++t)
                decode_token(f, side, head_dim, t, tile, &decoded[static_cast<size_t>((b * n_tokens + t) * head_dim)]);
        }
    }

    HeadTiles view() const { return {&spec, &open, tiles.data(), nullptr, nullptr, 0, 0}; }
};

class Attend : public testing::TestWithParam<Isa> {
protected:
    // Largest distance of any output element from the scalar table's and from the float64 result, relative to the largest |v|.
    struct Distance {
        double to_reference = 0, to_exact = 0;
    };
    static Distance run(const Problem & p, Isa isa, int64_t split_at = 0) {
        const int D        = p.head_dim;
        Format    k_format = mode_format(p.mode, Side::key, p.k_bits, D);
        if (p.k_group != 0) k_format.group = static_cast<uint16_t>(p.k_group);
        const Head         k(k_format, Side::key, D, p.n_cells, 1);
        const Head         v(mode_format(p.mode, Side::value, p.v_bits, D), Side::value, D, p.n_cells, 2);
        const auto         queries = test::make_values(test::Shape::normal, p.n_rows, D, 3);
        const int          stride  = padded_dim(D);
        std::vector<float> q(static_cast<size_t>(p.n_rows * stride), 0.0f);
        for (int r = 0; r < p.n_rows; ++r)
            std::copy_n(&queries[static_cast<size_t>(r * D)], D, &q[static_cast<size_t>(r * stride)]);
        SplitMix64                      rng(4);
        std::vector<std::vector<f16_t>> masks(static_cast<size_t>(p.n_rows),
                                              std::vector<f16_t>(static_cast<size_t>(p.n_cells), 0));
        std::vector<const f16_t *>      mask_rows;
        std::vector<const Visibility *> seen_rows;
        const size_t                    n_units = static_cast<size_t>(p.n_cells + kBlockTokens - 1) / kBlockTokens;
        std::vector<Visibility>         seen(static_cast<size_t>(p.n_rows) * n_units);
        std::vector<float>              slopes;
        for (int r = 0; r < p.n_rows; ++r) {
            for (int c = 0; c < p.n_cells; ++c) {
                f16_t & m = masks[static_cast<size_t>(r)][static_cast<size_t>(c)];
                if (p.slopes) m = f32_to_f16(-std::abs(static_cast<float>(c - 40)));
                if (c > p.n_cells - p.n_rows + r || (c >= 32 && c < 64 && r != 1) || rng.below(7) == 0) m = 0xfc00;
            }
            masks[static_cast<size_t>(r)][0] = 0;
            mask_rows.push_back(masks[static_cast<size_t>(r)].data());
            seen_rows.push_back(&seen[static_cast<size_t>(r) * n_units]);
            find_visibility(mask_rows.back(), p.n_cells, &seen[static_cast<size_t>(r) * n_units]);
            slopes.push_back(p.slopes ? 0.01f * static_cast<float>(r + 1) : 1.0f);
        }

        const AttendRows rows{p.n_rows,
                              q.data(),
                              p.mask ? mask_rows.data() : nullptr,
                              p.mask ? seen_rows.data() : nullptr,
                              p.slopes ? slopes.data() : nullptr,
                              p.softcap};
        const auto       attend_with = [&](Isa with) {
            const size_t        state_floats = static_cast<size_t>(p.n_rows) * static_cast<size_t>(padded_dim(D) + 2);
            std::vector<float>  memory(2 * state_floats);
            AlignedBuffer       scratch(attend_scratch_bytes(k.spec, v.spec));
            const auto          state_at = [&](float * at) { return AttendState{at, at + p.n_rows, at + 2 * p.n_rows}; };
            const AttendState   a = state_at(memory.data()), b = state_at(memory.data() + state_floats);
            const KernelTable & kernels = *kernel_table(with);
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
            return out;
        };
        const std::vector<float> out = attend_with(isa), reference = attend_with(Isa::scalar);

        double   largest = 0;
        Distance worst;
        for (const float x : v.decoded) largest = std::max(largest, std::abs(double{x}));
        for (int r = 0; r < p.n_rows; ++r) {
            std::vector<double> logits, o(static_cast<size_t>(D), 0.0);
            double              top = -std::numeric_limits<double>::infinity(), sum = 0;
            for (int c = 0; c < p.n_cells; ++c) {
                double s = 0;
                for (int d = 0; d < D; ++d)
                    s += double{queries[static_cast<size_t>(r * D + d)]} * double{k.decoded[static_cast<size_t>(c * D + d)]};
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
            for (int d = 0; d < D; ++d) {
                const size_t i     = static_cast<size_t>(r * D + d);
                worst.to_exact     = std::max(worst.to_exact, std::abs(out[i] - o[static_cast<size_t>(d)] / sum));
                worst.to_reference = std::max(worst.to_reference, double{std::abs(out[i] - reference[i])});
            }
        }
        return {worst.to_reference / largest, worst.to_exact / largest};
    }

    // Logits reach about 200 here, so one f32 rounding of a logit moves a weight by 200 * 2^-24 = 1.2e-5, which may carry it over
    // the border between two of its 4095 steps: 2.4e-4, for one or two tokens.
    static constexpr double kFloats = 5e-4;
    // With integer queries an outlier key channel (range 20) multiplies a rounding of half a step: a logit moves by up to
    // 20 * |q| / 254 with narrow queries (2 |q| / 8000 else), and weights by as much; measured 0.12 and 0.003.
    static double rounding(int k_bits) { return k_bits == 16 ? 1e-3 : k_bits <= kNarrowBits ? 0.3 : 0.01; }

    static void check(const Problem & p, int64_t split_at = 0) {
        const Distance d = run(p, GetParam(), split_at);
        EXPECT_LT(d.to_reference, kFloats) << describe(p);
        EXPECT_LT(d.to_exact, p.k_bits == 16 && p.v_bits == 16 ? kFloats : rounding(p.k_bits)) << describe(p);
    }
    static std::string describe(const Problem & p) {
        return std::string(mode_name(p.mode)) + " " + pair_text(p) + " group " + std::to_string(p.k_group) + " d" +
               std::to_string(p.head_dim) + " rows " + std::to_string(p.n_rows) + " cells " + std::to_string(p.n_cells);
    }
    static std::string pair_text(const Problem & p) { return "K" + std::to_string(p.k_bits) + "V" + std::to_string(p.v_bits); }
};

TEST_P(Attend, EveryPairOfBothModes) {
    for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
        for (const int k_bits : {2, 3, 4, 5, 6, 8, 16}) {
            for (const int v_bits : {2, 3, 4, 5, 6, 8, 16}) {
                Problem p;
                p.mode   = mode;
                p.k_bits = k_bits;
                p.v_bits = v_bits;
                check(p);
            }
        }
    }
}

TEST_P(Attend, LongChannelGroups) {
    for (const int group : {64, 128}) {
        for (const int k_bits : {3, 4, 8}) {
            for (const int n_cells : {30, 100, 128, 129, 250}) {
                Problem p;
                p.k_group = group;
                p.k_bits  = k_bits;
                p.n_cells = n_cells;
                check(p);
            }
        }
    }
}

TEST_P(Attend, LengthsAroundTileBorders) {
    for (const int n_cells : {1, 2, 31, 32, 33, 63, 64, 65, 95, 96, 97, 300}) {
        Problem p;
        p.n_cells = n_cells;
        p.n_rows  = 1;
        check(p);
        p.mask = false;
        check(p);
    }
}

TEST_P(Attend, HeadDimsAndRowCounts) {
    for (const int head_dim : {32, 40, 64, 80, 96, 112, 128, 256}) {
        for (const int n_rows : {1, 5, 16, 64}) {
            Problem p;
            p.head_dim = head_dim;
            p.n_rows   = n_rows;
            check(p);
        }
    }
}

TEST_P(Attend, SoftcapAndSlopes) {
    Problem p;
    p.softcap = 30.0f;
    check(p);
    p.slopes = true;
    check(p);
    p.softcap = 0;
    check(p);
}

TEST_P(Attend, SplittingTheCellsChangesNothingButRounding) {
    Problem p;
    p.n_cells = 200;
    for (const int64_t at : {32, 64, 160, 192}) check(p, at);
}

TEST_P(Attend, SinkTakesWeightWithoutValue) {
    const KernelTable & kernels = *kernel_table(GetParam());
    const Head          k(f16_format(), Side::key, 32, 32, 1), v(f16_format(), Side::value, 32, 32, 2);
    std::vector<float>  q(32, 0.0f), memory(34), out(32);
    AlignedBuffer       scratch(attend_scratch_bytes(k.spec, v.spec));
    const AttendState   state{memory.data(), memory.data() + 1, memory.data() + 2};
    attend_init(state, 1, 32);
    attend(kernels, k.view(), v.view(), AttendRows{1, q.data(), nullptr, nullptr, nullptr, 0}, 0, 32, state, scratch.data());
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
    std::vector<float>  q(32, 1.0f), memory(34), out(32, 7.0f);
    AlignedBuffer       scratch(attend_scratch_bytes(k.spec, v.spec));
    std::vector<f16_t>  mask(64, 0xfc00);
    const f16_t *       mask_row = mask.data();
    Visibility          seen[2];
    const Visibility *  seen_row = seen;
    find_visibility(mask_row, 64, seen);
    const AttendState state{memory.data(), memory.data() + 1, memory.data() + 2};
    attend_init(state, 1, 32);
    attend(kernels, k.view(), v.view(), AttendRows{1, q.data(), &mask_row, &seen_row, nullptr, 0}, 0, 64, state, scratch.data());
    float * row = out.data();
    attend_finish(state, 1, 32, &row);
    for (const float x : out) EXPECT_EQ(x, 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Isa, Attend, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
