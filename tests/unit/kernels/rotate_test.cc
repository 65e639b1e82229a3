// Rotation of rows: every ISA of this machine gives the bits of quant/transform.cc.
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/kernels/kernel_table.h"
#include "kvt/quant/transform.h"
#include "support/inputs.h"

namespace kvt {
namespace {

class KernelRotate : public testing::TestWithParam<Isa> {
protected:
    // Rows between guards that the kernel must leave alone.   block 0: by a dense matrix
    static void expect_same(int head_dim, int block, int n_rows, bool traps) {
        const int          stride = padded_dim(head_dim);
        std::vector<f16_t> columns;
        for (const float x : test::make_values(test::Shape::normal, head_dim, stride, 1)) columns.push_back(f32_to_f16(x));
        const f16_t *      matrix = block == 0 ? columns.data() : nullptr;
        std::vector<float> got    = test::make_values(test::Shape::outlier_channel, n_rows + 2, stride, 2);
        const auto row_at = [&](std::vector<float> & x, int r) { return x.data() + static_cast<ptrdiff_t>(r + 1) * stride; };
        if (traps) row_at(got, 0)[head_dim / 2] = std::numeric_limits<float>::infinity();
        std::vector<float> expected = got;
        for (int r = 0; r < n_rows; ++r) rotate_row(matrix, head_dim, stride, block, row_at(expected, r));
        kernel_table(GetParam())->rotate({matrix, head_dim, stride, block}, n_rows, row_at(got, 0));
        for (int r = -1; r <= n_rows; ++r) {
            const size_t n = static_cast<size_t>(r < 0 || r == n_rows ? stride : head_dim) * sizeof(float);
            if (traps) {  // the sign and payload of a NaN are nobody's business
                for (int d = 0; d < head_dim; ++d) {
                    const float a = row_at(expected, r)[d], b = row_at(got, r)[d];
                    ASSERT_TRUE(a == b || (a != a && b != b)) << "d" << head_dim << " block " << block << " row " << r;
                }
            } else {
                ASSERT_EQ(std::memcmp(row_at(expected, r), row_at(got, r), n), 0)
                    << "d" << head_dim << " block " << block << " row " << r;
            }
        }
    }
};

const int kRowCounts[] = {1, 2, 7, 8, 9, 16, 27};

TEST_P(KernelRotate, DenseMatricesGiveTheSameBits) {
    for (const int head_dim : {8, 16, 40, 64, 72, 80, 96, 128, 256}) {
        for (const int n_rows : kRowCounts) expect_same(head_dim, 0, n_rows, false);
    }
}

TEST_P(KernelRotate, HadamardBlocksGiveTheSameBits) {
    const struct {
        int head_dim, block;
    } cases[] = {{7, 1},   {8, 8},   {16, 16},  {40, 8},    {64, 64},   {72, 8},
                 {80, 16}, {96, 32}, {112, 16}, {128, 128}, {256, 256}, {64, 4}};
    for (const auto & c : cases) {
        for (const int n_rows : kRowCounts) expect_same(c.head_dim, c.block, n_rows, false);
    }
}

TEST_P(KernelRotate, WhatIsNotFiniteStaysInItsRow) {
    for (const int block : {0, 64}) expect_same(64, block, 9, true);
    expect_same(80, 16, 9, true);
}

INSTANTIATE_TEST_SUITE_P(Isa, KernelRotate, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
