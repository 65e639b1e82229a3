#include "kvt/tasks/text.h"

#include <gtest/gtest.h>

namespace kvt::tasks {
namespace {

TEST(TaskText, Utf8) {
    EXPECT_EQ(clean_utf8(std::string_view("a\xff\0b", 4)),
              "a\xef\xbf\xbd\xef\xbf\xbd"
              "b");
}

TEST(TaskText, Hashes) {
    EXPECT_EQ(fnv1a64("synth0\n0\n0"), 0x584ac6a029498fdbu);
    EXPECT_EQ(splitmix64_finaliser(0x584ac6a029498fdbu), 0x0ed28ae87431639fu);
}

TEST(TaskText, ReplacesWithoutOverlap) {
    EXPECT_EQ(replaced("aaaa", "aa", "b"), "bb");
    EXPECT_EQ(without_thinking("<think>5</think>6</think>7"), "7");
}

}  // namespace
}  // namespace kvt::tasks
