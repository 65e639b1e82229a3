#include "kvt/tasks/text.h"

#include <gtest/gtest.h>

namespace kvt::tasks {
namespace {

TEST(TaskText, ReplacesWithoutOverlap) {
    EXPECT_EQ(replaced("aaaa", "aa", "b"), "bb");
    EXPECT_EQ(without_thinking("<think>5</think>6</think>7"), "7");
}

}  // namespace
}  // namespace kvt::tasks
