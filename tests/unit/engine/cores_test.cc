#include "kvt/engine/llama/cores.h"

#include <sched.h>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(UsableCores, FollowsTheAffinityMask) {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    EXPECT_GE(usable_cores(), 1);
    EXPECT_LE(usable_cores(), CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(usable_cores(), 1);
    sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace
}  // namespace kvt
