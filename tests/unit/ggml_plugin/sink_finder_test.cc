#include "kvt/ggml_plugin/sink_finder.h"

#include <gtest/gtest.h>

namespace kvt::plugin {
namespace {

constexpr f16_t kHidden = 0xfc00;  // -inf

// Two streams of 64 cells, one head of 32 channels, one sink token each.
struct Cache {
    std::vector<uint8_t> memory;
    cache_tensor         tensor;

    explicit Cache(int sink_tokens = 1) {
        const Format f   = mode_format(Mode::rotated, Side::key, 4, 32);
        tensor.kept      = {sink_tokens, 0};
        tensor.n_embd    = 32;
        tensor.n_cells   = 64;
        tensor.n_streams = 2;
        memory.resize(tensor_bytes(f, Side::key, 1, 32, 64, 2, tensor.kept) + 192);
        uint8_t * at = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
        tensor.cache.emplace(CacheShape{f, Side::key, 1, 32, 64, 2, tensor.kept, nullptr}, *kernel_table(Isa::scalar), at);
        tensor.cache->clear();
    }
};

std::vector<int64_t> seen_first(const std::vector<int64_t> & visible, int64_t n_cells, int limit) {
    std::vector<f16_t> mask(static_cast<size_t>(n_cells), kHidden);
    for (const int64_t c : visible) mask[static_cast<size_t>(c)] = 0;
    std::vector<Visibility> seen(static_cast<size_t>((n_cells + 31) / 32));
    find_visibility(mask.data(), n_cells, seen.data());
    std::vector<int64_t> cells{99};  // what was there before does not stay
    first_cells(mask.data(), n_cells, seen.data(), limit, cells);
    return cells;
}

TEST(FirstCells, AreThoseOfAQueryThatSeesFew) {
    using Cells = std::vector<int64_t>;
    EXPECT_EQ(seen_first({0}, 256, 1), Cells{0});
    EXPECT_EQ(seen_first({70, 3, 255}, 256, 4), (Cells{3, 70, 255})) << "cells may be anywhere";
    EXPECT_EQ(seen_first({3, 70, 255}, 256, 3), (Cells{3, 70, 255}));
    EXPECT_EQ(seen_first({3, 70, 255}, 256, 2), Cells{}) << "a later token";
    EXPECT_EQ(seen_first({}, 256, 2), Cells{}) << "padding rows see nothing";
    EXPECT_EQ(seen_first({33}, 40, 1), Cells{33}) << "the last tile may be short";
}

TEST(KeepRows, NothingIsKeptWithoutSinks) {
    const std::vector<float> rows(64, 1.0f);
    waiting_rows             waiting;
    Cache                    none(0), one(1);
    keep_rows(none.tensor, {0, 1}, rows.data(), 32, waiting);
    EXPECT_EQ(waiting.cache, nullptr);
    keep_rows(one.tensor, {5, 6}, rows.data(), 32, waiting);
    EXPECT_EQ(waiting.cache, &one.tensor);
    EXPECT_EQ(waiting.cells, (std::vector<int64_t>{5, 6}));
}

TEST(MakeSinks, TakesTheWaitingRowsOfTheRightCellsAndStream) {
    Cache              cache;
    std::vector<float> rows(3 * 40);  // a stride of 40
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i);
    waiting_rows waiting;
    cache.tensor.cache->plan_write(std::vector<int64_t>{2, 64 + 2, 64 + 3});
    ASSERT_EQ(cache.tensor.cache->write_head(0, rows.data(), 40), Encoded::ok);
    keep_rows(cache.tensor, {2, 64 + 2, 64 + 3}, rows.data(), 40, waiting);
    make_sinks({2, 9}, 1, waiting, cache.tensor);  // cell 9 does not wait: it was stored by an earlier batch
    EXPECT_FALSE(cache.tensor.cache->is_sink(0, 2));
    EXPECT_TRUE(cache.tensor.cache->is_sink(1, 2));
    EXPECT_FALSE(cache.tensor.cache->is_sink(1, 9));
    std::vector<float> row(32);
    cache.tensor.cache->read_cell(64 + 2, row.data());
    EXPECT_EQ(row, std::vector<float>(rows.begin() + 40, rows.begin() + 72));
}

TEST(MakeSinks, RowsOfAnotherCacheAreNotTaken) {
    Cache                    a, b;
    const std::vector<float> rows(32, 1.0f);
    waiting_rows             waiting;
    keep_rows(a.tensor, {0}, rows.data(), 32, waiting);
    make_sinks({0}, 0, waiting, b.tensor);
    EXPECT_FALSE(b.tensor.cache->is_sink(0, 0));
}

}  // namespace
}  // namespace kvt::plugin
