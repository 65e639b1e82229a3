// Attention over packed tiles on every ISA, against the scalar table and against a float64 softmax over the decoded values.
#include "kvt/kernels/attend.h"

#include <gtest/gtest.h>

#include "attend_problem.h"

namespace kvt {
namespace {

using test::AttendCase;
using test::Head;
using test::Problem;
using test::States;

class Attend : public testing::TestWithParam<Isa> {
protected:
    static void check(const Problem & p, int64_t split_at = 0) {
        const AttendCase         c(p);
        const std::vector<float> out = c.output(GetParam(), split_at);
        EXPECT_LT(test::distance(out, c.output(Isa::scalar, split_at), c.v), test::kFloats) << test::describe(p);
        EXPECT_LT(test::distance(out, c.exact(), c.v),
                  p.k_bits == 16 && p.v_bits == 16 ? test::kFloats : test::rounding(p.k_bits))
            << test::describe(p);
    }
};

TEST_P(Attend, EveryPairOfEveryMode) {
    for (const Mode mode : {Mode::kivi, Mode::per_token_asym, Mode::rotated}) {
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
    for (const Mode mode : {Mode::kivi, Mode::rotated}) {
        for (const int head_dim : {32, 40, 64, 80, 96, 112, 128, 256}) {
            for (const int n_rows : {1, 5, 16, 64}) {
                Problem p;
                p.mode     = mode;
                p.head_dim = head_dim;
                p.n_rows   = n_rows;
                check(p);
            }
        }
    }
}

TEST_P(Attend, SoftcapSlopesAndBias) {
    for (const int bits : {4, 16}) {  // 16: nothing is rounded, so a bias on the wrong side of the cap shows
        for (const float softcap : {0.0f, 30.0f}) {
            for (const bool slopes : {false, true}) {
                for (const bool bias : {false, true}) {
                    Problem p;
                    p.k_bits = p.v_bits = bits;
                    p.softcap           = softcap;
                    p.slopes            = slopes;
                    p.bias              = bias;
                    check(p);
                }
            }
        }
    }
}

TEST_P(Attend, OpenBlocksOverrideTiles) {
    for (const int group : {0, 64}) {
        for (const int block : {0, 1}) {
            Problem p;
            p.k_group    = group;
            p.open_block = block;
            p.n_cells    = 200;
            check(p);
        }
    }
}

TEST_P(Attend, SplittingTheCellsChangesNothingButRounding) {
    Problem p;
    p.n_cells = 200;
    for (const int64_t at : {32, 64, 160, 192}) check(p, at);
}

// Equal logits of all cells, and a learned sink with as much weight as the 32 cells together. A bias moves the cells, not the
// sink.
TEST_P(Attend, LearnedSinkTakesWeightWithoutValue) {
    const Head               k(f16_format(), Side::key, 32, 32, 1), v(f16_format(), Side::value, 32, 32, 2);
    const std::vector<float> q(32, 0.0f);
    AlignedBuffer            scratch(attend_scratch_bytes(k.spec, v.spec));
    for (const float bias : {0.0f, 3.0f}) {
        const States s(1, 32);
        attend(*kernel_table(GetParam()), k.view(), v.view(), AttendRows{1, q.data(), nullptr, nullptr, nullptr, 0, &bias}, 0, 32,
               s.state, scratch.data());
        const float sink = bias + std::log(32.0f);
        attend_sink(s.state, &sink, 1, 32);
        attend_finish(s.state, 1, 32);
        for (size_t d = 0; d < 32; ++d) {
            double sum = 0;
            for (size_t t = 0; t < 32; ++t) sum += double{v.decoded[t * 32 + d]};
            EXPECT_NEAR(s.state.o[d], sum / 64.0, 1e-4);
        }
    }
}

TEST_P(Attend, RowsThatSeeNothingAreZero) {
    const Head               k(f16_format(), Side::key, 32, 64, 1), v(f16_format(), Side::value, 32, 64, 2);
    const std::vector<float> q(32, 1.0f);
    const std::vector<f16_t> mask(64, 0xfc00);
    AlignedBuffer            scratch(attend_scratch_bytes(k.spec, v.spec));
    const f16_t *            mask_row = mask.data();
    Visibility               seen[2];
    const Visibility *       seen_row = seen;
    const States             s(1, 32);
    find_visibility(mask_row, 64, seen);
    attend(*kernel_table(GetParam()), k.view(), v.view(), AttendRows{1, q.data(), &mask_row, &seen_row, nullptr, 0}, 0, 64,
           s.state, scratch.data());
    attend_finish(s.state, 1, 32);
    for (int d = 0; d < 32; ++d) EXPECT_EQ(s.state.o[d], 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Isa, Attend, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
