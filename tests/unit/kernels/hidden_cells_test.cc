// A cell without weight takes no part: what it holds, left there by somebody else's request, moves no bit of the result.
#include <gtest/gtest.h>

#include "kvt/kernels/kernel_table.h"
#include "support/inputs.h"

namespace kvt {
namespace {

class KernelHidden : public testing::TestWithParam<Isa> {
protected:
    // Output and constant of two query rows, neither of which gives cell 5 any weight.
    static std::vector<float> values_of(const TileSpec & spec, const std::vector<float> & rows, float sum) {
        const KernelTable &     table = *kernel_table(GetParam());
        std::vector<uint8_t>    tile(spec.bytes + 64), operand(operand_bytes(spec.head_dim));
        std::vector<TokenPlace> places;
        for (int t = 0; t < kBlockTokens; ++t) places.push_back({tile.data(), t});
        (void)table.encode_tokens(spec, nullptr, kBlockTokens, rows.data(), spec.head_dim, places.data());
        std::vector<float> p(2 * kBlockTokens), out(2 * static_cast<size_t>(spec.stride), 0.0f),
            constant(2 * 16 * static_cast<size_t>(spec.n_groups), 0.0f);
        const float factor[2] = {1, 1}, sums[2] = {sum, sum};
        for (size_t t = 0; t < p.size(); ++t) p[t] = t % kBlockTokens == 5 ? 0.0f : 1.0f / static_cast<float>(t + 1);
        Ahead nothing_ahead;
        table.values(spec, tile.data(), {table.unpack(spec, tile.data(), 0, operand.data())}, 2, p.data(), factor, sums,
                     nothing_ahead, out.data(), constant.data());
        out.insert(out.end(), constant.begin(), constant.end());
        return out;
    }
};

TEST_P(KernelHidden, ValuesOfOtherCellsAreWhatTheyWere) {
    for (const char * name : {"int8.pt64", "int4.pt64.byte", "int2.pt32", "int5.pt16.byte"}) {
        const TileSpec           spec = make_tile_spec(*parse_format_name(name), Side::value, 64);
        const std::vector<float> rows = test::make_values(test::Shape::normal, kBlockTokens, 64, 3);
        for (const float sum : {1.0f, 1000.0f}) {  // weights in two parts, in one
            auto       other    = rows;
            const auto expected = values_of(spec, rows, sum);
            for (int d = 0; d < 64; ++d) other[5 * 64 + static_cast<size_t>(d)] *= 1000.0f;
            EXPECT_EQ(values_of(spec, other, sum), expected) << name;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, KernelHidden, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
