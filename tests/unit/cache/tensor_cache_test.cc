// The cache against what was written: any order, overwriting, several streams, on every ISA.
#include "kvt/cache/tensor_cache.h"

#include <cmath>
#include <algorithm>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "kvt/plan/plan.h"
#include "support/inputs.h"

namespace kvt {
namespace {

struct Storage {
    CacheShape           shape;
    std::vector<uint8_t> bytes;
    TensorCache          cache;

    static uint64_t size(const CacheShape & s) {
        return tensor_bytes(s.format, s.side, s.n_heads, s.head_dim, static_cast<uint64_t>(s.n_cells),
                            static_cast<uint64_t>(s.n_streams));
    }
    static uint8_t * aligned(std::vector<uint8_t> & b) {
        return b.data() + (64 - reinterpret_cast<uintptr_t>(b.data()) % 64) % 64;
    }

    Storage(const CacheShape & s, Isa isa) : shape(s), bytes(size(s) + 128), cache(s, *kernel_table(isa), aligned(bytes)) {
        cache.clear();
    }

    void write(const std::vector<int64_t> & cells, const std::vector<float> & rows) {
        cache.plan_write(cells);
        for (int h = 0; h < shape.n_heads; ++h) {
            ASSERT_EQ(cache.write_head(h, rows.data() + h * shape.head_dim, shape.n_heads * shape.head_dim), Encoded::ok);
        }
    }
    std::vector<float> read(int64_t cell) const {
        std::vector<float> row(static_cast<size_t>(shape.n_heads * shape.head_dim));
        cache.read_cell(cell, row.data());
        return row;
    }
};

class Cache : public testing::TestWithParam<Isa> {};

TEST_P(Cache, OneByOneEqualsAllAtOnce) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 64)) {
            const CacheShape     shape{f, side, 3, 64, 160, 1};
            Storage              one(shape, GetParam()), all(shape, GetParam());
            const auto           rows = test::make_values(test::Shape::outlier_channel, 150, 3 * 64, 5);
            std::vector<int64_t> cells;
            for (int64_t c = 0; c < 150; ++c) {
                cells.push_back(c);
                one.write({c}, std::vector<float>(rows.begin() + c * 192, rows.begin() + (c + 1) * 192));
            }
            all.write(cells, rows);
            EXPECT_EQ(one.bytes.size(), all.bytes.size());
            EXPECT_EQ(0, std::memcmp(Storage::aligned(one.bytes), Storage::aligned(all.bytes), Storage::size(shape)))
                << format_name(f);
        }
    }
}

TEST_P(Cache, UnfinishedBlocksAreExactAtSixteenBits) {
    const CacheShape     shape{mode_format(Mode::kivi, Side::key, 2, 64), Side::key, 2, 64, 96, 1};
    Storage              s(shape, GetParam());
    const auto           rows = test::make_values(test::Shape::normal, 70, 128, 6);
    std::vector<int64_t> cells;
    for (int64_t c = 0; c < 70; ++c) cells.push_back(c);
    s.write(cells, rows);
    int inexact = 0;
    for (int64_t c = 0; c < 70; ++c) {
        const auto row = s.read(c);
        for (size_t i = 0; i < row.size(); ++i) {
            const float stored = f16_to_f32(f32_to_f16(rows[static_cast<size_t>(c) * 128 + i]));
            if (c >= 64) {
                ASSERT_EQ(row[i], stored);
            } else {
                inexact += row[i] != stored;
            }
        }
    }
    EXPECT_GT(inexact, 64 * 128 / 2);  // sealed blocks really are 2-bit
}

TEST_P(Cache, SealedBytesNeverChangeWhileAppending) {
    const CacheShape                    shape{mode_format(Mode::kivi, Side::value, 4, 64), Side::value, 2, 64, 256, 1};
    Storage                             s(shape, GetParam());
    const auto                          rows = test::make_values(test::Shape::normal, 256, 128, 8);
    std::map<int, std::vector<uint8_t>> sealed;
    for (int64_t c = 0; c < 256; ++c) {
        s.write({c}, std::vector<float>(rows.begin() + c * 128, rows.begin() + (c + 1) * 128));
        for (const auto & [block, bytes] : sealed) {
            const HeadTiles tiles = s.cache.head(0, 1);
            ASSERT_EQ(0, std::memcmp(bytes.data(), tiles.tiles + static_cast<size_t>(block) * s.cache.spec().bytes, bytes.size()))
                << "at cell " << c;
        }
        if (c % 32 == 31) {
            const uint8_t * at               = s.cache.head(0, 1).tiles + static_cast<size_t>(c / 32) * s.cache.spec().bytes;
            sealed[static_cast<int>(c / 32)] = {at, at + s.cache.spec().bytes};
        }
    }
}

// Random writes over two streams, batches of any size: every cell must read back within the format's error of the last
// value written to it. 8 bits, so that a wrong cell, stream or head cannot hide in the tolerance; sealed blocks may have been
// re-quantized a few times, each within half a step of the block's range (about 4 / 255).
TEST_P(Cache, RandomWritesReadBackTheLastValue) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 32)) {
            if (f.codec != Codec::f16 && f.bits != 8) continue;
            const CacheShape                      shape{f, side, 2, 32, 128, 2};
            Storage                               s(shape, GetParam());
            SplitMix64                            rng(77);
            std::map<int64_t, std::vector<float>> last;
            for (int round = 0; round < 200; ++round) {
                std::vector<int64_t> cells;
                std::vector<float>   rows;
                const int64_t        start = static_cast<int64_t>(rng.below(256));
                const int64_t        n     = 1 + static_cast<int64_t>(rng.below(40));
                for (int64_t i = 0; i < n; ++i) {
                    const int64_t cell = round % 3 == 0 ? static_cast<int64_t>(rng.below(256)) : (start + i) % 256;
                    if (std::find(cells.begin(), cells.end(), cell) != cells.end()) continue;
                    const auto row = test::make_values(test::Shape::normal, 1, 64, rng.next());
                    cells.push_back(cell);
                    rows.insert(rows.end(), row.begin(), row.end());
                    last[cell] = row;
                }
                s.write(cells, rows);
            }
            const float bound = f.codec == Codec::f16 ? 0.002f : f.store == Store::on_write ? 0.02f : 0.12f;
            for (const auto & [cell, row] : last) {
                const auto got = s.read(cell);
                for (size_t i = 0; i < row.size(); ++i) ASSERT_NEAR(got[i], row[i], bound) << format_name(f) << " cell " << cell;
            }
        }
    }
}

TEST_P(Cache, StreamsCopyWithTheirOpenBlocks) {
    const CacheShape     shape{mode_format(Mode::kivi, Side::key, 4, 32), Side::key, 2, 32, 64, 2};
    Storage              s(shape, GetParam());
    const auto           rows = test::make_values(test::Shape::normal, 40, 64, 12);
    std::vector<int64_t> cells;
    for (int64_t c = 0; c < 40; ++c) cells.push_back(c);
    s.write(cells, rows);
    s.cache.copy_stream(s.cache, 0, 1);
    for (int64_t c = 0; c < 40; ++c) EXPECT_EQ(s.read(c), s.read(64 + c));
    const auto more = test::make_values(test::Shape::normal, 1, 64, 13);
    s.write({64 + 40}, more);
    EXPECT_NE(s.read(40), s.read(64 + 40));
}

TEST_P(Cache, ClearGivesZeros) {
    const CacheShape shape{mode_format(Mode::kivi, Side::value, 4, 32), Side::value, 1, 32, 64, 1};
    Storage          s(shape, GetParam());
    s.write({0, 1, 40}, test::make_values(test::Shape::normal, 3, 32, 14));
    s.cache.clear();
    for (const int64_t c : {0, 1, 40, 63}) EXPECT_EQ(s.read(c), std::vector<float>(32, 0.0f));
}

INSTANTIATE_TEST_SUITE_P(Isa, Cache, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
