// Rows of saved states: bit for bit where the format allows it, refused by a cache that packs otherwise.
#include "kvt/cache/saved_row.h"

#include <cstring>

#include <gtest/gtest.h>

#include "kvt/base/aligned_buffer.h"
#include "kvt/cache/tensor_cache.h"
#include "kvt/plan/plan.h"
#include "support/inputs.h"

namespace kvt {
namespace {

constexpr int      kHeads = 2, kDim = 48, kEmbd = kHeads * kDim, kCells = 96;
constexpr uint64_t kSignature = 0x123456789abcdef0;

struct Stored {
    AlignedBuffer memory;
    TensorCache   cache;

    static CacheShape shape(const Format & f, Side side) { return {f, side, kHeads, kDim, kCells, 2, {1, 0}, transforms()}; }
    static std::shared_ptr<const std::vector<PackedTransform>> transforms() {
        HeadTransform t;
        t.rotation = Rotation::hadamard;
        t.center   = test::make_values(test::Shape::normal, 1, kDim, 1);
        t.scale.assign(kDim, 0.7f);
        return std::make_shared<std::vector<PackedTransform>>(kHeads, *pack_transform(t, kDim));
    }
    Stored(const Format & f, Side side)
        : memory(tensor_bytes(f, side, kHeads, kDim, kCells, 2, {1, 0}) + 64),
          cache(shape(f, side), *kernel_table(available_isas().back()), memory.data()) {
        cache.clear();
    }

    void write(int64_t cell, const float * row) {
        cache.plan_write({&cell, 1});
        for (int h = 0; h < kHeads; ++h) ASSERT_EQ(cache.write_head(h, row + h * kDim, kEmbd), Encoded::ok);
    }
    std::vector<float> read(int64_t cell) const {
        std::vector<float> row(kEmbd);
        cache.read_cell(cell, row.data());
        return row;
    }
    std::vector<uint8_t> save(int64_t cell, uint64_t signature = kSignature) {
        std::vector<uint8_t> row(kEmbd * sizeof(f16_t));
        cache.save_row(cell, signature, row);
        return row;
    }
};

TEST(SavedRow, ComesBackBitForBitInAnotherPlace) {
    const auto rows = test::make_values(test::Shape::outlier_channel, 40, kEmbd, 3);
    for (const Side side : {Side::key, Side::value}) {
        for (const Format & f : test::all_formats(side, kDim)) {
            if (f.store != Store::on_write || f.codec == Codec::f16) continue;
            Stored a(f, side), b(f, side);
            for (int64_t c = 0; c < 40; ++c) a.write(c, &rows[static_cast<size_t>(c) * kEmbd]);
            a.cache.keep_sink(0, 5, &rows[5 * kEmbd]);
            for (int64_t c = 0; c < 40; ++c) ASSERT_EQ(b.cache.load_row(kCells + c + 7, kSignature, a.save(c)), Loaded::ok);
            for (int64_t c = 0; c < 40; ++c) {
                ASSERT_EQ(a.read(c), b.read(kCells + c + 7)) << format_name(f) << " cell " << c;
                ASSERT_EQ(a.save(c), b.save(kCells + c + 7)) << format_name(f) << " cell " << c;
                ASSERT_EQ(b.cache.is_sink(1, c + 7), c == 5) << format_name(f) << " cell " << c;
            }
        }
    }
}

TEST(SavedRow, OtherFormatsSaveTheirValuesAsSixteenBitFloats) {
    const auto rows = test::make_values(test::Shape::normal, kCells, kEmbd, 4);
    for (const Format & f : {f16_format(), mode_format(Mode::kivi, Side::key, 4, kDim)}) {
        Stored a(f, Side::key), b(f, Side::key);
        for (int64_t c = 0; c < 40; ++c) a.write(c, &rows[static_cast<size_t>(c) * kEmbd]);
        for (int64_t c = 0; c < 40; ++c) ASSERT_EQ(b.cache.load_row(c, kSignature, a.save(c)), Loaded::ok);
        for (int64_t c = 0; c < 40; ++c) {
            for (size_t i = 0; i < kEmbd; ++i) ASSERT_NEAR(a.read(c)[i], b.read(c)[i], 0.004f) << format_name(f) << " cell " << c;
        }
    }
}

TEST(SavedRow, PlainFloatsAreQuantizedAsIfWritten) {
    const auto           rows = test::make_values(test::Shape::normal, 1, kEmbd, 5);
    const Format         f    = mode_format(Mode::rotated, Side::key, 4, kDim);
    Stored               written(f, Side::key), loaded(f, Side::key);
    std::vector<float>   half(rows);
    std::vector<uint8_t> saved(kEmbd * sizeof(f16_t));
    for (size_t i = 0; i < half.size(); ++i) {
        const f16_t h = f32_to_f16(rows[i]);
        std::memcpy(&saved[2 * i], &h, sizeof h);
        half[i] = f16_to_f32(h);
    }
    written.write(3, half.data());
    EXPECT_EQ(loaded.cache.load_row(3, kSignature, saved), Loaded::ok);
    EXPECT_EQ(written.read(3), loaded.read(3));
}

TEST(SavedRow, OfAnotherPlanIsRefusedAndChangesNothing) {
    const auto rows = test::make_values(test::Shape::normal, 2, kEmbd, 6);
    Stored     a(mode_format(Mode::rotated, Side::key, 4, kDim), Side::key);
    a.write(0, rows.data());
    const auto saved = a.save(0);
    for (const Format & f : test::all_formats(Side::key, kDim)) {
        Stored b(f, Side::key);
        b.write(0, &rows[kEmbd]);
        const auto before = b.read(0);
        EXPECT_EQ(b.cache.load_row(0, kSignature + 1, saved), Loaded::foreign) << format_name(f);
        EXPECT_EQ(b.read(0), before) << format_name(f);
    }
}

TEST(SavedRow, FitsWhereTheFloatsWouldStand) {
    for (const Side side : {Side::key, Side::value}) {
        for (const int dim : {32, 64, 80, 128}) {
            for (const Format & f : test::all_formats(side, dim)) {
                const TileSpec spec = make_tile_spec(f, side, dim);
                EXPECT_EQ(saves_packed(spec, 1), f.codec != Codec::f16 && f.store == Store::on_write) << format_name(f);
            }
        }
    }
    EXPECT_FALSE(saves_packed(make_tile_spec(mode_format(Mode::rotated, Side::key, 4, 8), Side::key, 8), 1))
        << "no room for the header";
}

TEST(SavedRow, AnOverwrittenSinkIsSavedPacked) {
    const auto rows = test::make_values(test::Shape::normal, 2, kEmbd, 7);
    Stored     a(mode_format(Mode::rotated, Side::key, 4, kDim), Side::key);
    a.write(0, rows.data());
    a.cache.keep_sink(0, 0, rows.data());
    EXPECT_FALSE(has_header(a.save(0).data()));
    a.write(0, &rows[kEmbd]);
    EXPECT_TRUE(has_header(kSignature, a.save(0).data()));
}

}  // namespace
}  // namespace kvt
