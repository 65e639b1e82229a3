// The packed bytes of every format, fixed for ever: a change here is a change of the storage format.
//
// KVT_REGENERATE=1 rewrites the files of tests/golden/formats instead of comparing. head_dim 32; the value of token t, channel d
// is
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

std::vector<float> golden_rows(int n_tokens) {
    std::vector<float> rows;
    for (int t = 0; t < n_tokens; ++t) {
        for (int d = 0; d < kHeadDim; ++d) rows.push_back(static_cast<float>((7 * t + 13 * d) % 97) / 8.0f - 6.0f);
    }
    return rows;
}

std::string dump(const Format & f, Side side) {
    const auto           rows = golden_rows(tile_tokens(f));
    std::vector<uint8_t> tile(tile_bytes(f, side, kHeadDim));
    if (f.codec == Codec::f16) {
        for (int t = 0; t < kBlockTokens; ++t)
            (void)encode_token(f, side, kHeadDim, t, &rows[static_cast<size_t>(t * kHeadDim)], nullptr, tile.data());
    } else {
        (void)encode_tile(f, side, kHeadDim, test::make_f16_tile(rows, side, kHeadDim).data(), test::kAllValid, nullptr,
                          tile.data());
    }
    std::string text =
        fmt::format("{} {} head_dim {} bytes {} scales {} offsets {}\n", side == Side::key ? "key" : "value", format_name(f),
                    kHeadDim, tile.size(), tile_scales_at(f, side, kHeadDim), tile_offsets_at(f, side, kHeadDim));
    for (size_t i = 0; i < tile.size(); ++i) text += fmt::format("{:02x}{}", tile[i], i % 64 == 63 ? "\n" : "");
    return text;
}

TEST(GoldenFormats, BytesAreUnchanged) {
    int rewritten = 0;
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, kHeadDim)) {
            const std::string path =
                fmt::format("{}/golden/formats/{}.{}.txt", KVT_TEST_ROOT, side == Side::key ? "key" : "value", format_name(f));
            if (std::getenv("KVT_REGENERATE") != nullptr) {
                std::ofstream(path) << dump(f, side);
                ++rewritten;
                continue;
            }
            std::ifstream      file(path);
            std::ostringstream expected;
            expected << file.rdbuf();
            EXPECT_EQ(expected.str(), dump(f, side)) << path;
        }
    }
    if (rewritten > 0) GTEST_SKIP() << "rewrote " << rewritten << " files";
}

}  // namespace
}  // namespace kvt
