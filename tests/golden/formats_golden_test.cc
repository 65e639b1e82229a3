// The packed bytes of every format, fixed for ever: a change here is a change of the storage format.
//
// KVT_REGENERATE=1 rewrites tests/golden/formats.txt instead of comparing. head_dim 32; the value of token t, channel d is
// ((7 t + 13 d) mod 97) / 8 - 6, exact in f16.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kvt/quant/codec.h"
#include "support/inputs.h"

namespace kvt {
namespace {

constexpr int kHeadDim = 32;

std::vector<float> golden_rows() {
    std::vector<float> rows;
    for (int t = 0; t < kBlockTokens; ++t) {
        for (int d = 0; d < kHeadDim; ++d) rows.push_back(static_cast<float>((7 * t + 13 * d) % 97) / 8.0f - 6.0f);
    }
    return rows;
}

std::string dump() {
    std::string text;
    const auto  rows = golden_rows();
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, kHeadDim)) {
            std::vector<uint8_t> tile(tile_bytes(f, side, kHeadDim));
            if (f.codec == Codec::f16) {
                for (int t = 0; t < kBlockTokens; ++t)
                    (void)encode_token(f, side, kHeadDim, t, &rows[static_cast<size_t>(t * kHeadDim)], tile.data());
            } else {
                (void)encode_tile(f, side, kHeadDim, test::make_f16_tile(rows, side, kHeadDim).data(), 0xffffffffu, tile.data());
            }
            text += fmt::format("{} {} head_dim {} bytes {} scales {} offsets {}\n", side == Side::key ? "key" : "value",
                                format_name(f), kHeadDim, tile.size(), tile_scales_at(f, side, kHeadDim),
                                tile_offsets_at(f, side, kHeadDim));
            for (size_t i = 0; i < tile.size(); ++i) text += fmt::format("{:02x}{}", tile[i], i % 64 == 63 ? "\n" : "");
        }
    }
    return text;
}

TEST(GoldenFormats, BytesAreUnchanged) {
    const std::string path = std::string(KVT_TEST_ROOT) + "/golden/formats.txt";
    const std::string now  = dump();
    if (std::getenv("KVT_REGENERATE") != nullptr) {
        std::ofstream(path) << now;
        GTEST_SKIP() << "rewrote " << path;
    }
    std::ifstream      file(path);
    std::ostringstream expected;
    expected << file.rdbuf();
    ASSERT_FALSE(expected.str().empty()) << path;
    EXPECT_EQ(expected.str(), now);
}

}  // namespace
}  // namespace kvt
