// Packing with error feedback: every ISA of this machine writes the bytes of the scalar table. One row at a time and several rows
// at once are different code in vector kernels, full and partly filled sealed blocks too.
#include <limits>

#include <gtest/gtest.h>

#include "kvt/kernels/kernel_table.h"
#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

class KernelFeedback : public testing::TestWithParam<Isa> {
protected:
    const KernelTable & table() const { return *kernel_table(GetParam()); }

    // Rows 0 .. n-1 as the last n tokens of one tile, in calls of `batch` rows. Rows are [n][stride].
    static std::vector<uint8_t> pack(const KernelTable & kernels, const TileSpec & spec, const std::vector<f16_t> & feedback,
                                     int n, int batch, const std::vector<float> & rows, Encoded & result) {
        std::vector<uint8_t>    tile(spec.bytes);
        std::vector<TokenPlace> places;
        for (int i = 0; i < n; ++i) places.push_back({tile.data(), kBlockTokens - 1 - i});
        result = Encoded::ok;
        for (int i = 0; i < n; i += batch) {
            const Encoded one = kernels.encode_tokens(spec, feedback.data(), std::min(batch, n - i),
                                                      rows.data() + static_cast<ptrdiff_t>(i) * spec.stride, spec.stride,
                                                      &places[static_cast<size_t>(i)]);
            if (one != Encoded::ok) result = one;
        }
        return tile;
    }
};

const int kHeadDims[] = {8, 16, 40, 64, 80, 96, 128, 256};

// Rows of every shape, some of them with elements that cannot be encoded.
std::vector<float> rows_with_traps(int n_rows, int stride, int head_dim) {
    std::vector<float> rows;
    for (int r = 0; r < n_rows; ++r) {
        const auto row = test::make_values(test::all_shapes()[static_cast<size_t>(r) % test::all_shapes().size()], 1, stride,
                                           static_cast<uint64_t>(r));
        rows.insert(rows.end(), row.begin(), row.end());
    }
    const auto at        = [&](int r, int d) -> float & { return rows[static_cast<size_t>(r * stride + d)]; };
    at(3, 0)             = kNaN;
    at(9, head_dim - 1)  = kInf;
    at(20, head_dim / 2) = -kInf;
    for (int d = 0; d < head_dim; ++d) at(21, d) = kNaN;
    return rows;
}

TEST_P(KernelFeedback, TokensGiveTheReferencesBytes) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            const auto feedback = test::make_feedback(head_dim, 3);
            for (const Format & f : test::all_formats(side, head_dim)) {
                if (f.store == Store::sealed_block) continue;
                const TileSpec spec = make_tile_spec(f, side, head_dim);
                const auto     rows = rows_with_traps(kBlockTokens, spec.stride, head_dim);
                Encoded        wanted, reported;
                const auto     expected = pack(kKernelsScalar, spec, feedback, kBlockTokens, kBlockTokens, rows, wanted);
                EXPECT_EQ(wanted, Encoded::not_finite);
                for (const int batch : {1, 5, 8, 19, 32}) {
                    ASSERT_EQ(pack(table(), spec, feedback, kBlockTokens, batch, rows, reported), expected)
                        << format_name(f) << " d" << head_dim << " batch " << batch;
                    ASSERT_EQ(reported, wanted);
                }
            }
        }
    }
}

TEST_P(KernelFeedback, GoodTokensAreReportedAsSuch) {
    const TileSpec spec     = make_tile_spec(mode_format(Mode::rotated, Side::key, 4, 64), Side::key, 64);
    const auto     rows     = test::make_values(Shape::normal, kBlockTokens, 64, 4);
    const auto     feedback = test::make_feedback(64, 5);
    for (const int batch : {1, 32}) {
        Encoded reported;
        (void)pack(table(), spec, feedback, kBlockTokens, batch, rows, reported);
        EXPECT_EQ(reported, Encoded::ok);
    }
}

TEST_P(KernelFeedback, SealedTilesGiveTheReferencesBytes) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : kHeadDims) {
            const auto          feedback = test::make_feedback(head_dim, 6);
            std::vector<Format> formats  = test::all_formats(side, head_dim);
            formats.push_back({Codec::int_asym, 4, Axis::per_token, Store::sealed_block, 16, Params::byte});
            for (const Format & f : formats) {
                if (f.store != Store::sealed_block || !check_format(f, side, head_dim).ok()) continue;
                const TileSpec spec = make_tile_spec(f, side, head_dim);
                for (const bool traps : {false, true}) {
                    const int  n_tokens = spec.n_parts * kBlockTokens;
                    const auto half =
                        test::make_f16_tile(traps ? rows_with_traps(n_tokens, head_dim, head_dim)
                                                  : test::make_values(Shape::outlier_channel, n_tokens, head_dim, 7),
                                            side, head_dim);
                    for (const uint32_t last : {0xffffffffu, 0x00ffffffu, 0x80000001u, 0u}) {
                        uint32_t             valid[kMaxParts] = {~0u, ~0u, ~0u, ~0u};
                        std::vector<uint8_t> expected(spec.bytes, 0xaa), got(spec.bytes, 0x55);
                        valid[spec.n_parts - 1] = last;
                        ASSERT_EQ(kKernelsScalar.encode_tile(spec, half.data(), valid, feedback.data(), expected.data()),
                                  table().encode_tile(spec, half.data(), valid, feedback.data(), got.data()));
                        ASSERT_EQ(expected, got) << format_name(f) << " d" << head_dim << " valid " << last << " traps " << traps;
                    }
                }
            }
        }
    }
}

// Pairs of equal channels whose feedback is large and cancels: what is left of a sum depends on the order of its terms.
TEST_P(KernelFeedback, ErrorsAreAddedInTheReferencesOrder) {
    for (const int head_dim : {64, 80, 128}) {
        for (const char * name : {"int4.pt64", "int3.pt16.byte", "int8.pt16", "int4.pc32.sealed", "int6.pc64.sealed"}) {
            const TileSpec     spec = make_tile_spec(*parse_format_name(name), Side::key, head_dim);
            std::vector<float> rows = test::make_values(Shape::normal, spec.n_parts * kBlockTokens, spec.stride, 8);
            for (size_t i = 1; i < rows.size(); i += 2) rows[i] = rows[i - 1];
            std::vector<f16_t> feedback(static_cast<size_t>(head_dim * spec.stride), 0);
            for (int i = 0; i < head_dim; ++i) {
                for (int j = 0; j < i / 2 * 2; ++j)
                    feedback[static_cast<size_t>(i * spec.stride + j)] = f32_to_f16(i % 2 == 0 ? 6e4f : -6e4f);
            }
            if (spec.format.store == Store::sealed_block) {
                const auto           half = test::make_f16_tile(rows, Side::key, head_dim);
                std::vector<uint8_t> expected(spec.bytes), got(spec.bytes);
                (void)kKernelsScalar.encode_tile(spec, half.data(), test::kAllValid, feedback.data(), expected.data());
                (void)table().encode_tile(spec, half.data(), test::kAllValid, feedback.data(), got.data());
                EXPECT_EQ(expected, got) << name << " d" << head_dim;
                continue;
            }
            for (const int batch : {1, 32}) {
                Encoded    reported;
                const auto expected = pack(kKernelsScalar, spec, feedback, kBlockTokens, batch, rows, reported);
                EXPECT_EQ(pack(table(), spec, feedback, kBlockTokens, batch, rows, reported), expected)
                    << name << " d" << head_dim;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, KernelFeedback, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
