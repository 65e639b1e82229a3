#include "kvt/quant/format.h"

#include <gtest/gtest.h>

#include "kvt/quant/tile.h"
#include "support/inputs.h"

namespace kvt {
namespace {

TEST(Format, NamesRoundTrip) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : {32, 64, 80, 128}) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                const auto parsed = parse_format_name(format_name(f));
                ASSERT_TRUE(parsed.ok()) << format_name(f);
                EXPECT_EQ(*parsed, f);
                EXPECT_TRUE(check_format(f, side, head_dim).ok()) << format_name(f);
            }
        }
    }
}

TEST(Format, BadNamesAreRefusedAndNamed) {
    for (const char * name : {"", "f32", "int4", "int3.pt64", "int4.pt", "int4.pt0", "int4.pt64x", "int4.pc32.sealed.",
                              "int04.pt64", "int4.pt99999"}) {
        const auto parsed = parse_format_name(name);
        ASSERT_FALSE(parsed.ok()) << name;
        EXPECT_NE(parsed.error().message.find(name), std::string::npos);
    }
}

TEST(Format, ImpossibleFormatsAreRefused) {
    const Format good{Codec::int_asym, 4, Axis::per_token, Store::on_write, 64};
    EXPECT_TRUE(check_format(good, Side::key, 64).ok());
    const auto with = [&](auto change) {
        Format f = good;
        change(f);
        return f;
    };
    EXPECT_FALSE(check_format(with([](Format & f) { f.bits = 3; }), Side::key, 64).ok());
    EXPECT_FALSE(check_format(with([](Format & f) { f.group = 0; }), Side::key, 64).ok());
    EXPECT_FALSE(check_format(with([](Format & f) { f.group = 65; }), Side::key, 64).ok());
    EXPECT_FALSE(check_format(with([](Format & f) { f.group = 24; }), Side::key, 64).ok());
    EXPECT_FALSE(check_format(good, Side::key, 0).ok());
    EXPECT_FALSE(check_format(good, Side::key, 4096).ok());
    const Format channel{Codec::int_asym, 4, Axis::per_channel, Store::sealed_block, 32};
    EXPECT_TRUE(check_format(channel, Side::key, 64).ok());
    EXPECT_FALSE(check_format(channel, Side::value, 64).ok());
    EXPECT_FALSE(check_format(with([](Format & f) {
                                  f.axis  = Axis::per_channel;
                                  f.group = 32;
                              }),
                              Side::key, 64)
                     .ok());
    EXPECT_FALSE(check_format(with([](Format & f) { f.codec = Codec::f16; }), Side::key, 64).ok());
}

TEST(Format, ModesGiveThePapersAxes) {
    const Format k = mode_format(Mode::kivi, Side::key, 4, 128), v = mode_format(Mode::kivi, Side::value, 2, 128);
    EXPECT_EQ(format_name(k), "int4.pc32.sealed");
    EXPECT_EQ(format_name(v), "int2.pt32.sealed");
    EXPECT_EQ(format_name(mode_format(Mode::per_token_asym, Side::key, 8, 80)), "int8.pt80");
    EXPECT_EQ(mode_format(Mode::kivi, Side::key, 16, 128), f16_format());
}

// Effective bits of method.md section 7: b + 32/D per-token, b + 1 for sealed KIVI blocks.
TEST(Tile, BytesMatchTheFormulas) {
    for (const int head_dim : {64, 96, 128, 256}) {
        for (const int bits : {2, 4, 8}) {
            const double elements = 32.0 * head_dim;
            for (const Side side : {Side::key, Side::value}) {
                const double per_token =
                    8.0 *
                    static_cast<double>(tile_bytes(mode_format(Mode::per_token_asym, side, bits, head_dim), side, head_dim)) /
                    elements;
                EXPECT_DOUBLE_EQ(per_token, bits + 32.0 / head_dim);
                const double kivi =
                    8.0 * static_cast<double>(tile_bytes(mode_format(Mode::kivi, side, bits, head_dim), side, head_dim)) /
                    elements;
                EXPECT_DOUBLE_EQ(kivi, bits + 1.0);
            }
        }
        EXPECT_EQ(tile_bytes(f16_format(), Side::key, head_dim), static_cast<size_t>(64 * head_dim));
    }
}

TEST(Tile, EveryCodeHasItsOwnBits) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : {8, 30, 64, 80}) {
            for (const int bits : {2, 4, 8}) {
                const Format         f = mode_format(Mode::per_token_asym, side, bits, head_dim);
                std::vector<uint8_t> used(tile_codes_bytes(f, side, head_dim), 0);
                for (int t = 0; t < kBlockTokens; ++t) {
                    for (int d = 0; d < head_dim; ++d) {
                        const CodePlace place = code_place(f, side, head_dim, t, d);
                        const int       mask  = ((1 << bits) - 1) << place.shift;
                        ASSERT_LT(place.byte, used.size());
                        ASSERT_EQ(used[place.byte] & mask, 0);
                        ASSERT_LT(mask, 256);
                        used[place.byte] = static_cast<uint8_t>(used[place.byte] | mask);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace kvt
