#include "kvt/cache/sink_table.h"

#include <vector>

#include <gtest/gtest.h>

namespace kvt {
namespace {

std::vector<int32_t> cells(const SinkTable & table) { return {table.cells(), table.cells() + table.n_slots()}; }

TEST(SinkTable, CellsGetSlotsOfTheirOwn) {
    SinkTable table(3);
    EXPECT_EQ(table.slot_of(5), -1);
    EXPECT_EQ(table.take(5), 0);
    EXPECT_EQ(table.take(0), 1);
    EXPECT_EQ(table.take(5), 0) << "a cell that has a slot keeps it";
    EXPECT_EQ(table.slot_of(0), 1);
    EXPECT_EQ(cells(table), (std::vector<int32_t>{5, 0, -1}));
}

TEST(SinkTable, ForgottenSlotsAreUsedAgain) {
    SinkTable table(2);
    table.take(1);
    table.take(2);
    table.forget(1);
    table.forget(7);  // is no sink
    EXPECT_EQ(cells(table), (std::vector<int32_t>{-1, 2}));
    EXPECT_EQ(table.take(3), 0);
}

TEST(SinkTable, WhenFullTheSlotFilledLongestAgoIsGivenUp) {
    SinkTable table(2);
    table.take(1);
    table.take(2);
    EXPECT_EQ(table.take(3), 0);
    EXPECT_EQ(table.take(4), 1);
    EXPECT_EQ(cells(table), (std::vector<int32_t>{3, 4}));
    table.forget(3);
    table.take(5);
    EXPECT_EQ(table.take(6), 1) << "cell 4 is older than 5";
    EXPECT_EQ(table.slot_of(4), -1);
}

TEST(SinkTable, SlotsThatAQuerySawAreGivenUpLast) {
    SinkTable table(3);
    table.take(0);
    table.take(1);
    table.take(7);
    const f16_t mask[3] = {0, 0xfc00, 0xfc00};  // sees cell 0 of cells 0..2
    table.touch(mask, 3);
    EXPECT_EQ(table.take(4), 1) << "cell 1 was filled before 7 and not seen";
    EXPECT_EQ(table.take(5), 2);
    EXPECT_EQ(cells(table), (std::vector<int32_t>{0, 4, 5}));
}

TEST(SinkTable, ClearForgetsAll) {
    SinkTable table(2);
    table.take(1);
    table.take(2);
    table.clear();
    EXPECT_EQ(cells(table), (std::vector<int32_t>{-1, -1}));
    EXPECT_EQ(table.take(9), 0);
}

}  // namespace
}  // namespace kvt
