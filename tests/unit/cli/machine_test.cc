#include "kvt/cli/machine.h"

#include <gtest/gtest.h>

namespace kvt::cli {
namespace {

TEST(Machine, ReadsProcessorNames) {
    EXPECT_EQ(processor_name("processor\t: 0\nmodel name\t: Example CPU @ 2.00GHz\nflags\t: a b\n"), "Example CPU @ 2.00GHz");
    EXPECT_EQ(processor_name("model name"), "unknown");
    EXPECT_EQ(processor_name("model name\t:"), "unknown");
    EXPECT_EQ(processor_name(""), "unknown");
}

TEST(Machine, ReadsMemory) {
    const auto memory = parse_meminfo("MemTotal:       24576000 kB\nMemFree: 1 kB\nMemAvailable:   12288000 kB\n");
    ASSERT_TRUE(memory.ok());
    EXPECT_EQ(memory->total_bytes, 24576000u * uint64_t(1024));
    EXPECT_EQ(memory->available_bytes, 12288000u * uint64_t(1024));
    EXPECT_EQ(parse_meminfo("MemTotal: 1 kB\n").error().message, "/proc/meminfo has no MemAvailable");
    EXPECT_EQ(parse_meminfo("MemTotal: many\n").error().message, "/proc/meminfo has no MemTotal");
}

TEST(Machine, ThisOneHasCoresAndMemory) {
    EXPECT_GE(find_processor().cores, 1);
    const auto memory = find_memory();
    ASSERT_TRUE(memory.ok()) << memory.error().message;
    EXPECT_GT(memory->available_bytes, 0u);
    EXPECT_LE(memory->available_bytes, memory->total_bytes);
}

TEST(Machine, BandwidthIsAFigureOrAnError) {
    const auto speed = measure_read_bandwidth(1 << 20, 2, 2);
    ASSERT_TRUE(speed.ok()) << speed.error().message;
    EXPECT_GT(*speed, 0.0);
    EXPECT_FALSE(measure_read_bandwidth(size_t(1) << 60, 1, 1).ok());
}

}  // namespace
}  // namespace kvt::cli
