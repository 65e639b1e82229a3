#include "kvt/tasks/text.h"

#include <gtest/gtest.h>

namespace kvt::tasks {
namespace {

TEST(TaskText, Utf8) {
    EXPECT_TRUE(valid_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    for (const char * bad : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xf4\x90\x80\x80"})
        EXPECT_FALSE(valid_utf8(bad)) << bad;
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
