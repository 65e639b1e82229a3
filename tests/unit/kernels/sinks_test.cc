// Cells kept at 16 bits: attend() reads them instead of what the tile holds, on every ISA.
#include <gtest/gtest.h>

#include "attend_problem.h"

namespace kvt {
namespace {

using test::AttendCase;
using test::Problem;

class AttendSinks : public testing::TestWithParam<Isa> {
protected:
    static void check(const AttendCase & c, const std::string & what, int64_t split_at = 0) {
        const std::vector<float> out = c.output(GetParam(), split_at);
        EXPECT_LT(test::distance(out, c.output(Isa::scalar, split_at), c.v), test::kFloats) << what << " " << test::describe(c.p);
        EXPECT_LT(test::distance(out, c.exact(), c.v), test::rounding(c.p.k_bits)) << what << " " << test::describe(c.p);
    }
};

TEST_P(AttendSinks, ReplaceWhatTheTilesHold) {
    const struct {
        const char *         what;
        std::vector<int32_t> cells;
    } cases[] = {
        {"none", {}},
        {"the first cell", {0}},
        {"free slots", {-1, 0, -1}},
        {"two of one tile", {0, 31}},
        {"any order, several tiles", {65, 3, -1, 0, 96, 64}},
        {"a tile that most rows do not see", {40, 33}},
        {"the last cells, which some rows do not see", {99, 98}},
        {"every cell of a tile",
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}},
    };
    for (const auto & one : cases) {
        for (const Mode mode : {Mode::kivi, Mode::per_token_asym, Mode::rotated}) {
            for (const int bits : {2, 4, 8, 16}) {
                for (const bool mask : {true, false}) {
                    Problem p;
                    p.mode   = mode;
                    p.k_bits = p.v_bits = bits;
                    p.mask              = mask;
                    p.sinks             = one.cells;
                    check(AttendCase(p), one.what);
                }
            }
        }
    }
}

TEST_P(AttendSinks, OfAnyHeadDimAndRowCount) {
    for (const int head_dim : {40, 64, 80, 128, 256}) {
        for (const int n_rows : {1, 3, 17, 64}) {
            Problem p;
            p.mode     = Mode::rotated;
            p.head_dim = head_dim;
            p.n_rows   = n_rows;
            p.sinks    = {2, 0, -1, 70};
            check(AttendCase(p), "rows");
        }
    }
}

TEST_P(AttendSinks, OfKeysOnly) {
    Problem p;
    p.sinks   = {0, 70};
    p.v_sinks = false;
    check(AttendCase(p), "keys");
}

TEST_P(AttendSinks, WithLongGroupsOpenBlocksSoftcapBiasAndSplits) {
    Problem p;
    p.n_cells = 200;
    p.sinks   = {0, 100, 130};
    p.k_group = 128;
    check(AttendCase(p), "long group");
    p.k_group    = 0;
    p.open_block = 3;  // holds cell 100
    check(AttendCase(p), "open block");
    p.softcap = 30.0f;
    p.bias = p.slopes = true;
    check(AttendCase(p), "cap, bias, slopes");
    for (const int64_t at : {32, 128}) check(AttendCase(p), "split", at);
}

// A row hides the sink: it must not matter at all what the sink is, NaN included, and the sink still counts for other rows.
TEST_P(AttendSinks, HiddenOnesTakeNoPart) {
    for (const Mode mode : {Mode::kivi, Mode::rotated}) {
        Problem p;
        p.mode  = mode;
        p.sinks = {0, 70};
        AttendCase c(p);
        for (int r = 0; r < p.n_rows; ++r) {
            for (const int cell : p.sinks) c.set_mask(r, cell, r == 2);
        }
        check(c, "hidden from some");
        const std::vector<float> before = c.output(GetParam());
        for (auto * head : {&c.k, &c.v}) {
            for (f16_t & x : head->sink_rows) x = 0x7e00;
        }
        const std::vector<float> after = c.output(GetParam());
        for (size_t i = 0; i < after.size(); ++i) {
            if (i / static_cast<size_t>(p.head_dim) == 2) {
                EXPECT_TRUE(std::isnan(after[i])) << i;  // a visible one is loud
            } else {
                EXPECT_EQ(before[i], after[i]) << i;
            }
        }
    }
}

// What the tile holds for such a cell must not matter either: a row that a format cannot store reads back as NaN.
TEST_P(AttendSinks, HideTilesThatCouldNotBeStored) {
    for (const Mode mode : {Mode::per_token_asym, Mode::rotated}) {
        Problem p;
        p.mode  = mode;
        p.mask  = false;
        p.sinks = {5};
        AttendCase               c(p);
        const std::vector<float> before = c.output(GetParam()), bad(static_cast<size_t>(p.head_dim), INFINITY);
        for (auto * head : {&c.k, &c.v}) {
            (void)encode_token(head->spec.format, head->spec.side, p.head_dim, 5, bad.data(), nullptr, head->tiles.data());
        }
        // Largest weights and scales of a tile decide how others are rounded, so equal but for that.
        EXPECT_LT(test::distance(c.output(GetParam()), before, c.v), 1e-3);
        EXPECT_LT(test::distance(c.output(GetParam()), c.exact(), c.v), test::rounding(p.k_bits));
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, AttendSinks, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
