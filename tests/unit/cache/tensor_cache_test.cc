// The cache against what was written: any order, overwriting, several streams, tokens kept at 16 bits, on every ISA.
#include "kvt/cache/tensor_cache.h"

#include <cmath>
#include <algorithm>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "kvt/cache/saved_row.h"
#include "kvt/plan/plan.h"
#include "support/inputs.h"

namespace kvt {
namespace {

CacheShape shape_of(const Format & f, Side side, int n_heads, int head_dim, int64_t n_cells, int64_t n_streams, Kept kept = {}) {
    return {f, side, n_heads, head_dim, n_cells, n_streams, kept, nullptr};
}

struct Storage {
    CacheShape           shape;
    std::vector<uint8_t> bytes;
    TensorCache          cache;

    static uint64_t size(const CacheShape & s) {
        return tensor_bytes(s.format, s.side, s.n_heads, s.head_dim, static_cast<uint64_t>(s.n_cells),
                            static_cast<uint64_t>(s.n_streams), s.kept);
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

std::vector<int64_t> count_to(int64_t n) {
    std::vector<int64_t> cells;
    for (int64_t c = 0; c < n; ++c) cells.push_back(c);
    return cells;
}

class Cache : public testing::TestWithParam<Isa> {};

TEST_P(Cache, OneByOneEqualsAllAtOnce) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 64)) {
            const CacheShape     shape = shape_of(f, side, 3, 64, 160, 1);
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
    const CacheShape     shape = shape_of(mode_format(Mode::kivi, Side::key, 2, 64), Side::key, 2, 64, 96, 1);
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
    const CacheShape                    shape = shape_of(mode_format(Mode::kivi, Side::value, 4, 64), Side::value, 2, 64, 256, 1);
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
            const CacheShape                      shape = shape_of(f, side, 2, 32, 128, 2);
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
    const CacheShape     shape = shape_of(mode_format(Mode::kivi, Side::key, 4, 32), Side::key, 2, 32, 64, 2);
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
    const CacheShape shape = shape_of(mode_format(Mode::kivi, Side::value, 4, 32), Side::value, 1, 32, 64, 1);
    Storage          s(shape, GetParam());
    s.write({0, 1, 40}, test::make_values(test::Shape::normal, 3, 32, 14));
    s.cache.clear();
    for (const int64_t c : {0, 1, 40, 63}) EXPECT_EQ(s.read(c), std::vector<float>(32, 0.0f));
}

TEST_P(Cache, SinksAreExactAtSixteenBits) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 32)) {
            if (f.codec == Codec::f16 || f.bits > 4) continue;
            const CacheShape shape = shape_of(f, side, 2, 32, 64, 1, {1, 0});
            Storage          s(shape, GetParam());
            const auto       rows = test::make_values(test::Shape::normal, 40, 64, 15);
            s.write(count_to(40), rows);
            const auto         before = s.read(4);
            std::vector<float> sink(rows.begin() + 3 * 64, rows.begin() + 4 * 64);
            s.cache.keep_sink(0, 3, sink.data());
            EXPECT_TRUE(s.cache.is_sink(0, 3));
            EXPECT_FALSE(s.cache.is_sink(0, 4));
            EXPECT_EQ(s.read(4), before) << format_name(f);
            // The lowest bits of the first 32 elements are left free for a mark (cache/saved_row.h).
            for (size_t i = 0; i < sink.size(); ++i) sink[i] = f16_to_f32(without_mark(f32_to_f16(sink[i]), static_cast<int>(i)));
            EXPECT_EQ(s.read(3), sink) << format_name(f);

            const HeadTiles tiles = s.cache.head(0, 1);
            ASSERT_EQ(tiles.n_sinks, 8);
            EXPECT_EQ(tiles.sink_cells[0], 3);
            EXPECT_EQ(f16_to_f32(tiles.sink_rows[5]), sink[32 + 5]) << "attention reads the row of its head";
        }
    }
}

TEST_P(Cache, OverwrittenSinksAreDropped) {
    const CacheShape shape = shape_of(mode_format(Mode::per_token_asym, Side::key, 8, 32), Side::key, 1, 32, 64, 2, {2, 0});
    Storage          s(shape, GetParam());
    const auto       rows = test::make_values(test::Shape::normal, 3, 32, 16);
    const auto       row  = [&](int i) { return std::vector<float>(rows.begin() + i * 32, rows.begin() + (i + 1) * 32); };
    s.write({0, 64 + 1}, {rows.begin(), rows.begin() + 64});
    s.cache.keep_sink(0, 0, row(0).data());
    s.cache.keep_sink(1, 1, row(1).data());
    s.write({1}, row(0));
    EXPECT_TRUE(s.cache.is_sink(0, 0) && s.cache.is_sink(1, 1)) << "cell 1 of another stream was written";
    s.write({64 + 1}, row(2));
    EXPECT_FALSE(s.cache.is_sink(1, 1));
    for (size_t d = 0; d < 32; ++d) EXPECT_NEAR(s.read(64 + 1)[d], row(2)[d], 0.02);

    s.cache.copy_stream(s.cache, 0, 1);
    EXPECT_TRUE(s.cache.is_sink(1, 0));
    EXPECT_EQ(s.read(64), s.read(0));
    s.cache.clear();
    EXPECT_FALSE(s.cache.is_sink(0, 0));
    EXPECT_EQ(s.read(0), std::vector<float>(32, 0.0f));
}

TEST_P(Cache, ResidualTokensStayAtSixteenBits) {
    for (const uint16_t group : {uint16_t{32}, uint16_t{128}}) {
        const Format f{Codec::int_asym, 2, Axis::per_channel, Store::sealed_block, group};
        Storage      s(shape_of(f, Side::key, 1, 32, 512, 1, {0, 64}), GetParam());
        const auto   rows  = test::make_values(test::Shape::normal, 400, 32, 17);
        const auto   exact = [&](int64_t c) {
            std::vector<float> row(rows.begin() + c * 32, rows.begin() + (c + 1) * 32);
            for (float & x : row) x = f16_to_f32(f32_to_f16(x));
            return s.read(c) == row;
        };
        for (int64_t c = 0; c < 400; ++c) {
            s.write({c}, std::vector<float>(rows.begin() + c * 32, rows.begin() + (c + 1) * 32));
            ASSERT_TRUE(exact(c) && exact(std::max<int64_t>(c - 63, 0))) << "after cell " << c << ", group " << group;
        }
        EXPECT_FALSE(exact(0));
        EXPECT_FALSE(exact(399 - 64 - group)) << "no more blocks stay open than the window needs";
    }
}

// A centered row times a reflection (dense), a Hadamard matrix, or nothing; with feedback as the tuner makes it.
std::shared_ptr<const std::vector<PackedTransform>> transforms(Rotation rotation, int n_heads, int dim, bool with_feedback) {
    auto packed = std::make_shared<std::vector<PackedTransform>>();
    for (int h = 0; h < n_heads; ++h) {
        const auto    seed = static_cast<uint64_t>(100 + h);
        HeadTransform t;
        t.rotation = rotation;
        t.center   = test::make_values(test::Shape::normal, 1, dim, seed);
        if (rotation == Rotation::dense) {
            const auto v      = test::make_values(test::Shape::normal, 1, dim, seed + 50);
            float      square = 0;
            for (const float x : v) square += x * x;
            for (size_t i = 0; i < v.size(); ++i) {
                for (size_t j = 0; j < v.size(); ++j) t.matrix.push_back((i == j ? 1.0f : 0.0f) - 2.0f * v[i] * v[j] / square);
            }
        } else {
            t.scale.assign(static_cast<size_t>(dim), 0.5f);
            t.scale[3] = 2.0f;
        }
        if (with_feedback) {
            const int stride = row_stride(dim);
            t.feedback.assign(static_cast<size_t>(dim * stride), 0.0f);
            for (int i = 0; i < dim; ++i) {
                for (int j = 0; j < i; ++j)
                    t.feedback[static_cast<size_t>(i * stride + j)] = 0.1f * static_cast<float>((i + j) % 3 - 1);
            }
        }
        auto one = pack_transform(t, dim);
        EXPECT_TRUE(one.ok()) << one.error().message;
        packed->push_back(std::move(one).value());
    }
    return packed;
}

TEST_P(Cache, TransformedRowsReadBackAsTheyWereWritten) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 64)) {
            if (f.codec != Codec::f16 && f.bits != 8) continue;
            for (const Rotation rotation : {Rotation::none, Rotation::hadamard, Rotation::dense}) {
                CacheShape shape = shape_of(f, side, 2, 64, 160, 1, {1, 0});
                shape.transforms = transforms(rotation, 2, 64, false);
                Storage    s(shape, GetParam());
                const auto rows = test::make_values(test::Shape::normal, 140, 128, 18);
                s.write(count_to(140), rows);
                if (f.codec != Codec::f16) s.cache.keep_sink(0, 1, &rows[128]);
                for (int64_t c = 0; c < 140; ++c) {
                    // Half a step of a range of about 8, times 2 where the scale was 0.5; 16 bits: 2^-11 of 8 likewise.
                    const float bound = f.codec == Codec::f16 || c == 1 ? 0.004f : 0.06f;
                    const auto  row   = s.read(c);
                    for (size_t i = 0; i < row.size(); ++i)
                        ASSERT_NEAR(row[i], rows[static_cast<size_t>(c) * 128 + i], bound) << format_name(f) << " cell " << c;
                }
            }
        }
    }
}

// What is stored is the transformed row: with no more bits than 4, a channel of 25 times the others costs nothing once it is
// scaled.
TEST_P(Cache, TransformsAreWhatIsQuantized) {
    const Format  f     = mode_format(Mode::rotated, Side::key, 4, 32);
    CacheShape    plain = shape_of(f, Side::key, 1, 32, 64, 1), scaled = plain;
    HeadTransform t;
    t.center.assign(32, 0.0f);
    t.scale.assign(32, 1.0f);
    for (size_t d = 3; d < 32; d += 17) t.center[d] = 25.0f, t.scale[d] = 0.2f;
    scaled.transforms = std::make_shared<std::vector<PackedTransform>>(1, *pack_transform(t, 32));
    Storage    a(plain, GetParam()), b(scaled, GetParam());
    const auto rows = test::make_values(test::Shape::outlier_channel, 64, 32, 19);
    a.write(count_to(64), rows);
    b.write(count_to(64), rows);
    double error_a = 0, error_b = 0;
    for (int64_t c = 0; c < 64; ++c) {
        for (size_t d = 0; d < 32; ++d) {
            if (d % 17 == 3) continue;
            const float x = rows[static_cast<size_t>(c) * 32 + d];
            error_a += std::abs(a.read(c)[d] - x);
            error_b += std::abs(b.read(c)[d] - x);
        }
    }
    EXPECT_LT(error_b, error_a / 4);
}

TEST_P(Cache, TransformedBytesAreThoseOfTheScalarKernels) {
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, 48)) {
            for (const Rotation rotation : {Rotation::none, Rotation::hadamard, Rotation::dense}) {
                CacheShape shape = shape_of(f, side, 2, 48, 64, 1, {1, 32});
                shape.transforms = transforms(rotation, 2, 48, true);
                Storage    s(shape, GetParam()), scalar(shape, Isa::scalar);
                const auto rows = test::make_values(test::Shape::normal, 50, 96, 20);
                s.write(count_to(50), rows);
                scalar.write(count_to(50), rows);
                EXPECT_EQ(0, std::memcmp(Storage::aligned(s.bytes), Storage::aligned(scalar.bytes), Storage::size(shape)))
                    << format_name(f);
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, Cache, testing::ValuesIn(available_isas()),
                         [](const auto & test_case) { return std::string(isa_name(test_case.param)); });

}  // namespace
}  // namespace kvt
