#include "kvt/base/utf8.h"

#include <string>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(Utf8, KnowsItFromOtherBytes) {
    for (const std::string & good :
         {std::string(), std::string("plain\n"), std::string("\0", 1), std::string("\xc3\xa9"), std::string("\xe2\x82\xac"),
          std::string("\xf0\x9f\x98\x80"), std::string("\xed\x9f\xbf"), std::string("\xf4\x8f\xbf\xbf")})
        EXPECT_TRUE(is_utf8(good)) << good;
    for (const char * bad : {"\xff", "\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                             "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "text \xe2\x82", "\xe2\x82\xac\xac"})
        EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Utf8, CleansWhatIsNone) {
    EXPECT_EQ(clean_utf8(std::string_view("a\xff\0b", 4)),
              "a\xef\xbf\xbd\xef\xbf\xbd"
              "b");
}

TEST(Utf8, APrefixCutsNoCharacter) {
    EXPECT_EQ(utf8_prefix("plain", 9), "plain");
    EXPECT_EQ(utf8_prefix("plain", 2), "pl");
    EXPECT_EQ(utf8_prefix("a\xe2\x82\xac", 3), "a");
    EXPECT_EQ(utf8_prefix("\xe2\x82\xac", 3), "\xe2\x82\xac");
    EXPECT_EQ(utf8_prefix("\xe2\x82\xac", 0), "");
}

}  // namespace
}  // namespace kvt
