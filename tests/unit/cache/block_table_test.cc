#include "kvt/cache/block_table.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

using Kind = BlockStep::Kind;

std::vector<BlockStep> write(BlockTable & table, int64_t cell) {
    std::vector<BlockStep> steps;
    table.write(cell, 0, steps);
    return steps;
}

std::vector<Kind> kinds(const std::vector<BlockStep> & steps) {
    std::vector<Kind> out;
    for (const BlockStep & s : steps) out.push_back(s.kind);
    return out;
}

TEST(BlockTable, AppendingSealsEachBlockOnce) {
    BlockTable table(4, 32, 2, Sealing::when_full);
    int        sealed = 0;
    for (int64_t cell = 0; cell < 100; ++cell) {
        for (const BlockStep & step : write(table, cell)) {
            if (step.kind == Kind::seal) {
                EXPECT_EQ(cell % 32, 31);
                EXPECT_EQ(step.block, cell / 32);
                EXPECT_EQ(step.valid, (TokenMask{~0u}));
                ++sealed;
            }
            EXPECT_NE(step.kind, Kind::reopen);
        }
    }
    EXPECT_EQ(sealed, 3);
    EXPECT_EQ(table.slot_of(0), -1);
    EXPECT_GE(table.slot_of(3), 0);
    EXPECT_EQ(table.valid(3), (TokenMask{0xf}));
}

TEST(BlockTable, AnyOrderWithinABlockSealsWhenFull) {
    BlockTable table(1, 32, 2, Sealing::when_full);
    for (int i = 0; i < 31; ++i) {
        for (const BlockStep & step : write(table, (i * 7) % 32)) EXPECT_NE(step.kind, Kind::seal);
    }
    EXPECT_EQ(write(table, (31 * 7) % 32).back().kind, Kind::seal);
}

TEST(BlockTable, CutAndContinueReopensAndSealsOnce) {
    BlockTable table(2, 32, 2, Sealing::when_full);
    for (int64_t cell = 0; cell < 32; ++cell) write(table, cell);
    EXPECT_EQ(kinds(write(table, 30)), (std::vector<Kind>{Kind::reopen, Kind::write}));
    EXPECT_EQ(kinds(write(table, 31)), (std::vector<Kind>{Kind::write, Kind::seal}));
}

TEST(BlockTable, RollingBackOverABorderSealsNothingEarly) {
    BlockTable table(3, 32, 2, Sealing::when_full);
    for (int64_t cell = 0; cell < 34; ++cell) write(table, cell);
    EXPECT_EQ(kinds(write(table, 30)), (std::vector<Kind>{Kind::reopen, Kind::write}));
    EXPECT_GE(table.slot_of(1), 0);
    EXPECT_EQ(kinds(write(table, 31)), (std::vector<Kind>{Kind::write, Kind::seal}));
    EXPECT_EQ(kinds(write(table, 32)), (std::vector<Kind>{Kind::write}));
}

TEST(BlockTable, WhenSlotsRunOutTheOldestIsSealedAsItIs) {
    BlockTable table(5, 32, 2, Sealing::when_full);
    write(table, 0);
    write(table, 32);
    const auto steps = write(table, 64);
    EXPECT_EQ(kinds(steps), (std::vector<Kind>{Kind::seal, Kind::open, Kind::write}));
    EXPECT_EQ(steps[0].block, 0);
    EXPECT_EQ(steps[0].valid, (TokenMask{1}));
    EXPECT_EQ(kinds(write(table, 1)), (std::vector<Kind>{Kind::seal, Kind::reopen, Kind::write}));
}

TEST(BlockTable, LongBlocksSealAfterAllTheirTokens) {
    BlockTable table(2, 128, 1, Sealing::when_full);
    for (int64_t cell = 0; cell < 127; ++cell) {
        for (const BlockStep & step : write(table, cell)) EXPECT_NE(step.kind, Kind::seal);
    }
    const auto steps = write(table, 127);
    EXPECT_EQ(kinds(steps), (std::vector<Kind>{Kind::write, Kind::seal}));
    EXPECT_EQ(steps[0].token, 127);
    EXPECT_EQ(steps[1].valid, (TokenMask{~0u, ~0u, ~0u, ~0u}));
    // With one slot, rolling back over the border seals the new block as it is.
    write(table, 128);
    const auto back = write(table, 100);
    EXPECT_EQ(kinds(back), (std::vector<Kind>{Kind::seal, Kind::reopen, Kind::write}));
    EXPECT_EQ(back[0].valid, (TokenMask{1}));
    for (int64_t cell = 101; cell < 127; ++cell) EXPECT_EQ(kinds(write(table, cell)), (std::vector<Kind>{Kind::write}));
    EXPECT_EQ(kinds(write(table, 127)), (std::vector<Kind>{Kind::write, Kind::seal}));
}

TEST(BlockTable, LazySealingWaitsUntilTheSlotIsNeeded) {
    BlockTable table(5, 32, 3, Sealing::when_needed);
    for (int64_t cell = 0; cell < 96; ++cell) {
        for (const BlockStep & step : write(table, cell)) EXPECT_NE(step.kind, Kind::seal) << cell;
    }
    for (int64_t block = 0; block < 3; ++block) EXPECT_GE(table.slot_of(block), 0);
    const auto steps = write(table, 96);
    EXPECT_EQ(kinds(steps), (std::vector<Kind>{Kind::seal, Kind::open, Kind::write}));
    EXPECT_EQ(steps[0].block, 0);
    EXPECT_EQ(steps[0].valid, (TokenMask{~0u}));
    EXPECT_EQ(table.slot_of(0), -1);
}

TEST(BlockTable, LazySealingRollsBackOverAnOpenBorderForFree) {
    BlockTable table(4, 32, 2, Sealing::when_needed);
    for (int64_t cell = 0; cell < 40; ++cell) write(table, cell);
    for (int64_t cell = 20; cell < 64; ++cell) EXPECT_EQ(kinds(write(table, cell)), (std::vector<Kind>{Kind::write})) << cell;
    // Block 0 was written less recently than block 1.
    EXPECT_EQ(write(table, 64)[0].block, 0);
    EXPECT_EQ(kinds(write(table, 31)), (std::vector<Kind>{Kind::seal, Kind::reopen, Kind::write}));
}

TEST(BlockTable, ClearForgetsAll) {
    BlockTable table(2, 32, 2, Sealing::when_full);
    for (int64_t cell = 0; cell < 40; ++cell) write(table, cell);
    table.clear();
    EXPECT_EQ(table.valid(0), TokenMask{});
    EXPECT_EQ(kinds(write(table, 5)), (std::vector<Kind>{Kind::open, Kind::write}));
}

}  // namespace
}  // namespace kvt
