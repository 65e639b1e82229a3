// Sizes worked out by hand from the tile layout: codes, 4 bytes of scale and offset a group, padding to 64.
#include "kvt/plan/plan.h"

#include <gtest/gtest.h>

#include "support/plans.h"

namespace kvt {
namespace {

constexpr Format kInt4  = mode_format(Mode::per_token_asym, Side::key, 4, 64);
constexpr Format kKivi2 = mode_format(Mode::kivi, Side::key, 2, 64);

TEST(TensorBytes, CountsWholeBlocks) {
    // int4, 32 tokens x 64 channels: 1024 bytes of codes + 32 groups * 4 = 1152, a multiple of 64
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 1, 64, 32, 1, {}), 1152u);
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 1, 64, 33, 1, {}), 2u * 1152);
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 3, 64, 64, 2, {}), 2u * 3 * 2 * 1152);
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 3, 64, 0, 1, {}), 0u);
}

TEST(TensorBytes, SealedFormatsKeepTwoOpenBlocks) {
    // int2 per channel: 512 bytes of codes + 64 channels * 4 = 768; an f16 tile has 4096
    EXPECT_EQ(tensor_bytes(kKivi2, Side::key, 1, 64, 32, 1, {}), 768u + 2 * 4096);
    EXPECT_EQ(tensor_bytes(kKivi2, Side::key, 3, 64, 320, 2, {}), 2u * 3 * (10 * 768 + 2 * 4096));
}

TEST(TensorBytes, AResidualWindowKeepsBlocksThatCoverItAndOneMore) {
    const struct {
        int residual, group;
        int open;  // blocks of `group` tokens
    } cases[] = {{0, 32, 2}, {1, 32, 2}, {32, 32, 2}, {33, 32, 3}, {128, 32, 5}, {0, 128, 1}, {1, 128, 2}, {129, 128, 3}};
    for (const auto & c : cases) {
        Format f            = kKivi2;
        f.group             = static_cast<uint16_t>(c.group);
        const uint64_t open = static_cast<uint64_t>(c.open * c.group) * 64 * 2;
        EXPECT_EQ(tensor_bytes(f, Side::key, 3, 64, 0, 2, {0, c.residual}), 2u * 3 * open) << c.residual << " " << c.group;
    }
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 3, 64, 0, 1, {0, 128}), 0u) << "formats that store on write have no open blocks";
}

TEST(TensorBytes, SinksTakeRowsOfEightSequencesOrOneForEachStream) {
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 3, 64, 0, 1, {2, 0}), 3u * 8 * 2 * 64 * 2);
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 3, 64, 0, 4, {2, 0}), 4u * 3 * 2 * 64 * 2);
    EXPECT_EQ(tensor_bytes(kInt4, Side::key, 1, 80, 0, 2, {1, 0}), 2u * 192) << "each stream is padded to 64 bytes";
    EXPECT_EQ(tensor_bytes(f16_format(), Side::key, 3, 64, 0, 1, {2, 64}), 0u);
}

TEST(TensorBytes, F16IsTwoBytesAnElement) {
    EXPECT_EQ(tensor_bytes(f16_format(), Side::value, 3, 64, 4096, 1, {}), 3u * 64 * 4096 * 2);
}

TEST(TensorBytes, LargeSizesDoNotOverflow) {
    EXPECT_EQ(tensor_bytes(f16_format(), Side::key, 4096, 1024, uint64_t(1) << 28, 1, {}), uint64_t(1) << 51);
}

TEST(PlanSize, SumsLayersAndCountsBits) {
    const PrecisionPlan plan = testing::example_plan();
    // per layer and KV head and block: 8 bits 2048 + 128, 4 bits 1024 + 128, 2 bits 512 + 128
    const uint64_t  block = 2u * (2176 + 2176 + 2176 + 1152 + 1152 + 1152 + 1152 + 640);
    const CacheSize size  = plan_size(plan, 4096);
    EXPECT_EQ(size.bytes, block * 128);
    EXPECT_EQ(size.bytes_f16, uint64_t(4096) * 2 * 128 * 4 * 2);
    EXPECT_DOUBLE_EQ(size.effective_bits, 5.25 + 0.5);  // 16-bit scale and offset for 64 elements: 0.5 bit
    EXPECT_DOUBLE_EQ(payload_bits(plan), 5.25);
}

TEST(PlanSize, OpenBlocksAndPartialBlocksRaiseEffectiveBits) {
    const PrecisionPlan plan = uniform_plan(testing::example_model(), Mode::kivi, 4, 4);
    EXPECT_GT(plan_size(plan, 512).effective_bits, plan_size(plan, 4096).effective_bits);
    EXPECT_GT(plan_size(plan, 4097).effective_bits, plan_size(plan, 4096).effective_bits);
    EXPECT_EQ(plan_size(plan, 1024, 4).bytes, 4 * plan_size(plan, 1024, 1).bytes);
    EXPECT_DOUBLE_EQ(plan_size(uniform_plan(testing::example_model(), Mode::custom, 16, 16), 512).effective_bits, 16.0);
}

TEST(PlanSize, NothingIsNothing) {
    EXPECT_EQ(plan_size({}, 4096).bytes, 0u);
    EXPECT_EQ(plan_size({}, 4096).effective_bits, 0.0);
    EXPECT_EQ(plan_size(testing::example_plan(), 0).effective_bits, 0.0);
    EXPECT_EQ(payload_bits({}), 0.0);
}

}  // namespace
}  // namespace kvt
