// Packing without feedback: every ISA of this machine writes the bytes of the scalar table.
#include <limits>

#include <gtest/gtest.h>

#include "kvt/kernels/kernel_table.h"
#include "support/inputs.h"

namespace kvt {
namespace {

using test::Shape;

constexpr float kInf = std::numeric_limits<float>::infinity();

class KernelEncode : public testing::TestWithParam<Isa> {
protected:
    // One tile of rows [32][head_dim] written at once, and what was reported.
    struct Packed {
        Encoded              result;
        std::vector<uint8_t> tile;
        bool                 operator==(const Packed &) const = default;
    };
    static Packed pack(Isa isa, const TileSpec & spec, const std::vector<float> & rows) {
        Packed                  out{Encoded::ok, std::vector<uint8_t>(spec.bytes)};
        std::vector<TokenPlace> places;
        for (int t = 0; t < kBlockTokens; ++t) places.push_back({out.tile.data(), t});
        out.result = kernel_table(isa)->encode_tokens(spec, nullptr, kBlockTokens, rows.data(), spec.head_dim, places.data());
        return out;
    }
    static void expect_same(const TileSpec & spec, const std::vector<float> & rows, Encoded result) {
        const Packed expected = pack(Isa::scalar, spec, rows);
        ASSERT_EQ(expected.result, result) << format_name(spec.format) << " d" << spec.head_dim;
        ASSERT_EQ(expected, pack(GetParam(), spec, rows)) << format_name(spec.format) << " d" << spec.head_dim;
    }
    // Calls fn(spec) for every format of both sides that is stored in this way.
    template <class Fn>
    static void for_each_spec(Store store, const Fn & fn) {
        for (const Side side : {Side::key, Side::value}) {
            for (const int head_dim : {8, 16, 32, 40, 64, 72, 80, 96, 112, 128, 256}) {
                for (const Format & f : test::all_formats(side, head_dim)) {
                    if (f.store == store) fn(make_tile_spec(f, side, head_dim));
                }
            }
        }
    }
};

TEST_P(KernelEncode, TokensGiveTheReferencesBytes) {
    for_each_spec(Store::on_write, [](const TileSpec & spec) {
        for (const Shape shape : test::all_shapes())
            expect_same(spec, test::make_values(shape, kBlockTokens, spec.head_dim, 21), Encoded::ok);
    });
}

// One group of some rows holds the number; -70000 is one that f16 lacks, byte parameters do not mind.
TEST_P(KernelEncode, TokensAgreeOnNonFiniteInput) {
    for (const char * name : {"f16", "int4.pt72", "int4.pt16", "int4.pt72.byte", "int8.pt16.byte"}) {
        const Format f = *parse_format_name(name);
        for (const Side side : {Side::key, Side::value}) {
            for (const float bad : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN(), -70000.0f, 1e38f}) {
                auto rows = test::make_values(Shape::normal, kBlockTokens, 72, 2);
                for (const int at : {0, 7, 63, 71}) rows[static_cast<size_t>(at % kBlockTokens * 72 + at)] = bad;
                rows[30 * 72 + 30] = bad;
                rows[30 * 72 + 31] = -bad;
                expect_same(make_tile_spec(f, side, 72), rows,
                            f.params == Params::byte && bad == -70000.0f ? Encoded::ok : Encoded::not_finite);
            }
        }
    }
}

// Ranges from far below the smallest scale to beyond what f16 holds, around zero and on either side of it.
TEST_P(KernelEncode, ByteParametersOfEverySizeAgree) {
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        const TileSpec spec = make_tile_spec(mode_format(Mode::rotated, Side::key, bits, 40), Side::key, 40);
        for (const float shift : {0.0f, 2.5f, -2.5f}) {
            std::vector<float> rows = test::make_values(Shape::normal, kBlockTokens, 40, 5);
            float              size = 1e-10f;
            for (int t = 0; t < kBlockTokens; ++t, size *= 4.0f) {
                for (int d = 0; d < 40; ++d)
                    rows[static_cast<size_t>(t * 40 + d)] = (rows[static_cast<size_t>(t * 40 + d)] + shift) * size;
            }
            expect_same(spec, rows, Encoded::not_finite);
        }
    }
}

TEST_P(KernelEncode, TokensMayGoToAnyTile) {
    const TileSpec       spec = make_tile_spec(mode_format(Mode::rotated, Side::value, 3, 64), Side::value, 64);
    const auto           rows = test::make_values(Shape::normal, 4, 64, 6);
    std::vector<uint8_t> expected(3 * spec.bytes, 0x5a), got = expected;
    const int            tiles[] = {2, 0, 2, 1}, tokens[] = {31, 0, 5, 5};
    const auto           pack_into = [&](Isa isa, std::vector<uint8_t> & memory) {
        std::vector<TokenPlace> places;
        for (size_t i = 0; i < 4; ++i) places.push_back({&memory[static_cast<size_t>(tiles[i]) * spec.bytes], tokens[i]});
        // Every other row of twice as many.
        EXPECT_EQ(kernel_table(isa)->encode_tokens(spec, nullptr, 2, rows.data(), 128, places.data()), Encoded::ok);
        EXPECT_EQ(kernel_table(isa)->encode_tokens(spec, nullptr, 2, rows.data() + 64, 128, places.data() + 2), Encoded::ok);
    };
    pack_into(Isa::scalar, expected);
    pack_into(GetParam(), got);
    EXPECT_EQ(expected, got);
}

TEST_P(KernelEncode, SealedTilesGiveTheReferencesBytes) {
    for_each_spec(Store::sealed_block, [](const TileSpec & spec) {
        for (const Shape shape : test::all_shapes()) {
            const auto rows = test::make_values(shape, spec.n_parts * kBlockTokens, spec.head_dim, 31);
            const auto half = test::make_f16_tile(rows, spec.side, spec.head_dim);
            for (const uint32_t last : {0xffffffffu, 0x0000000fu, 0x80000001u, 0u}) {
                uint32_t             valid[kMaxParts] = {~0u, ~0u, ~0u, ~0u};
                std::vector<uint8_t> expected(spec.bytes, 0xaa), got(spec.bytes, 0x55);
                valid[spec.n_parts - 1] = last;
                ASSERT_EQ(kKernelsScalar.encode_tile(spec, half.data(), valid, nullptr, expected.data()),
                          kernel_table(GetParam())->encode_tile(spec, half.data(), valid, nullptr, got.data()));
                ASSERT_EQ(expected, got) << format_name(spec.format) << " d" << spec.head_dim << " valid " << last;
            }
        }
    });
}

INSTANTIATE_TEST_SUITE_P(Isa, KernelEncode, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
