#include "kvt/cli/console.h"

#include <gtest/gtest.h>

namespace kvt::cli {
namespace {

TEST(Console, Durations) {
    EXPECT_EQ(duration_text(-1), "0:00");
    EXPECT_EQ(duration_text(7.4), "0:07");
    EXPECT_EQ(duration_text(59.6), "1:00");
    EXPECT_EQ(duration_text(3723), "1:02:03");
}

TEST(Console, MebibytesAsLlamaCppPrintsThem) {
    EXPECT_EQ(mib_text(0), "0.00");
    EXPECT_EQ(mib_text(1024 * 1024 * 3 / 2), "1.50");
    EXPECT_EQ(mib_text(25067520), "23.91");
}

TEST(Console, NoEscapeCodesOutsideATerminal) {
    std::FILE * file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    EXPECT_FALSE(is_terminal(file));
    EXPECT_EQ(styled(Style::error, "text", file), "text");
    std::fclose(file);
}

}  // namespace
}  // namespace kvt::cli
