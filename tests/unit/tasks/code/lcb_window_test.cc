#include "kvt/tasks/code/lcb_window.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(LcbWindow, StartIsInsideEndIsNot) {
    const auto window = parse_window("2025-01..2025-04");
    ASSERT_TRUE(window.ok());
    EXPECT_FALSE(window->holds("2024-12-31T23:59:59"));
    EXPECT_TRUE(window->holds("2025-01-01T00:00:00"));
    EXPECT_TRUE(window->holds("2025-03-31T23:59:59"));
    EXPECT_FALSE(window->holds("2025-04-01T00:00:00"));
    EXPECT_TRUE(parse_window("")->holds("1999-01-01"));

    const auto v6 = parse_window("v6");
    ASSERT_TRUE(v6.ok());
    EXPECT_EQ(v6->expected, 454);
    EXPECT_EQ(parse_window("v5")->expected, 279);
    EXPECT_TRUE(v6->holds("2024-08-01T00:00:00"));
    EXPECT_TRUE(v6->holds("2025-04-30T00:00:00"));
    EXPECT_FALSE(v6->holds("2025-05-01T00:00:00"));
    EXPECT_EQ(parse_window("jan-apr-2025")->start, "2025-01-01");
}

TEST(LcbWindow, RefusesWhatIsNone) {
    for (const char * bad : {"v7", "2025", "2025-01", "2025-01..", "..2025-01", "2025-13..2026-01", "2025-02..2025-01",
                             "2025-01..2025-01", "2025-1..2025-4", "2025-01-32..2025-04-01", "2025/01..2025/04"}) {
        const auto window = parse_window(bad);
        ASSERT_FALSE(window.ok()) << bad;
        EXPECT_NE(window.error().message.find(std::string("\"") + bad + "\" is not a date window"), std::string::npos);
    }
    for (const char * bad : {"", "2025-01", "yesterday", "2025-01-01x", "01.02.2025"}) EXPECT_FALSE(is_contest_date(bad)) << bad;
    for (const char * good : {"2025-01-01", "2025-01-01T00:00:00", "2025-01-01 10:00"})
        EXPECT_TRUE(is_contest_date(good)) << good;
}

}  // namespace
}  // namespace kvt
