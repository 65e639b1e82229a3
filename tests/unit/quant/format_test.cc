#include "kvt/quant/format.h"

#include <algorithm>

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
    for (const char * name :
         {"", "f32", "int4", "int7.pt64", "int1.pt64", "int4.pt", "int4.pt0", "int4.pt64x", "int4.pc32.sealed.", "int04.pt64",
          "int4.pt99999", "int4.byte", "int4.pt64.bytes", "int4.pt64.sealed.byte", "f16.byte"}) {
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
    EXPECT_FALSE(check_format(with([](Format & f) { f.bits = 7; }), Side::key, 64).ok());
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

TEST(Format, ByteParametersGoWithPerTokenGroupsOnly) {
    const auto allowed = [](const char * name, Side side) { return check_format(*parse_format_name(name), side, 64).ok(); };
    for (const char * name : {"int2.pt64.byte", "int8.pt16.byte", "int4.pt32.byte.sealed"}) {
        EXPECT_TRUE(allowed(name, Side::key)) << name;
        EXPECT_TRUE(allowed(name, Side::value)) << name;
    }
    EXPECT_FALSE(allowed("int4.pc32.byte.sealed", Side::key));
    EXPECT_FALSE(allowed("int4.pt24.byte", Side::key));
    Format f16 = f16_format();
    f16.params = Params::byte;
    EXPECT_FALSE(check_format(f16, Side::key, 64).ok());
}

TEST(Format, ModesGiveThePapersAxes) {
    const Format k = mode_format(Mode::kivi, Side::key, 4, 128), v = mode_format(Mode::kivi, Side::value, 2, 128);
    EXPECT_EQ(format_name(k), "int4.pc32.sealed");
    EXPECT_EQ(format_name(v), "int2.pt32.sealed");
    EXPECT_EQ(format_name(mode_format(Mode::per_token_asym, Side::key, 8, 80)), "int8.pt80");
    EXPECT_EQ(mode_format(Mode::kivi, Side::key, 16, 128), f16_format());
}

TEST(Format, RotatedModeHasByteParametersPerRowOf128) {
    const struct {
        int          head_dim;
        const char * name;
    } cases[] = {{64, "int4.pt64.byte"},   {80, "int4.pt80.byte"},   {128, "int4.pt128.byte"},
                 {192, "int4.pt192.byte"}, {256, "int4.pt128.byte"}, {512, "int4.pt128.byte"}};
    for (const auto & c : cases) {
        for (const Side side : {Side::key, Side::value}) {
            const Format f = mode_format(Mode::rotated, side, 4, c.head_dim);
            EXPECT_EQ(format_name(f), c.name) << c.head_dim;
            EXPECT_TRUE(check_format(f, side, c.head_dim).ok()) << c.head_dim;
        }
    }
    EXPECT_EQ(mode_format(Mode::rotated, Side::key, 16, 128), f16_format());
}

TEST(Format, ModeNamesRoundTrip) {
    for (const Mode mode : {Mode::per_token_asym, Mode::kivi, Mode::rotated, Mode::custom})
        EXPECT_EQ(*parse_mode(mode_name(mode)), mode);
    EXPECT_EQ(*parse_mode("per-token"), Mode::per_token_asym);
    ASSERT_FALSE(parse_mode("spun").ok());
    EXPECT_NE(parse_mode("spun").error().message.find("spun"), std::string::npos);
}

// Effective bits of method.md section 7: b + 32/D per-token, b + 1 for sealed KIVI blocks; longer channel groups b + 32/group;
// byte parameters half of it.
TEST(Tile, BytesMatchTheFormulas) {
    for (const int head_dim : {64, 96, 128, 256}) {
        for (const int bits : {2, 3, 4, 5, 6, 8}) {
            const auto per_element = [&](const Format & f, Side side) {
                return 8.0 * static_cast<double>(tile_bytes(f, side, head_dim)) / (tile_tokens(f) * head_dim);
            };
            for (const Side side : {Side::key, Side::value}) {
                EXPECT_DOUBLE_EQ(per_element(mode_format(Mode::per_token_asym, side, bits, head_dim), side),
                                 bits + 32.0 / head_dim);
                EXPECT_DOUBLE_EQ(per_element(mode_format(Mode::kivi, side, bits, head_dim), side), bits + 1.0);
                EXPECT_DOUBLE_EQ(per_element(mode_format(Mode::rotated, side, bits, head_dim), side),
                                 bits + 16.0 / std::min(head_dim, 128));
            }
            for (const int group : {64, 128}) {
                const Format f{Codec::int_asym, static_cast<uint8_t>(bits), Axis::per_channel, Store::sealed_block,
                               static_cast<uint16_t>(group)};
                EXPECT_DOUBLE_EQ(per_element(f, Side::key), bits + 32.0 / group);
            }
        }
        EXPECT_EQ(tile_bytes(f16_format(), Side::key, head_dim), static_cast<size_t>(64 * head_dim));
    }
}

TEST(Tile, EveryCodeHasItsOwnBits) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int head_dim : {8, 30, 64, 80}) {
            for (const Format & f : test::all_formats(side, head_dim)) {
                if (f.codec == Codec::f16) continue;
                std::vector<uint8_t> used(tile_codes_bytes(f, side, head_dim), 0);
                for (int t = 0; t < tile_tokens(f); ++t) {
                    for (int d = 0; d < head_dim; ++d) {
                        int bits = 0;
                        for (const Plane plane : {Plane::low, Plane::high}) {
                            const CodePlace place = code_place(f, side, head_dim, t, d, plane);
                            if (place.bits == 0) continue;
                            const int mask = ((1 << place.bits) - 1) << place.shift;
                            bits += place.bits;
                            ASSERT_LT(place.byte, used.size());
                            ASSERT_EQ(used[place.byte] & mask, 0) << format_name(f);
                            ASSERT_LT(mask, 256);
                            used[place.byte] = static_cast<uint8_t>(used[place.byte] | mask);
                        }
                        ASSERT_EQ(bits, f.bits);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace kvt
