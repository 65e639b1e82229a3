#include "kvt/harness/answer_text.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(AnswerText, StopsAcrossPiecesAndCuts) {
    AnswerText text({"Question:", "</s>"});
    for (const char * piece : {" 18", ".\n", "Ques", "tion"}) EXPECT_FALSE(text.add(piece)) << piece;
    EXPECT_TRUE(text.add(": more"));
    EXPECT_EQ(text.text(), " 18.\n");
}

TEST(AnswerText, TheEarliestStopWins) {
    AnswerText text({"bb", "ab"});
    EXPECT_TRUE(text.add("xabb"));
    EXPECT_EQ(text.text(), "x");
}

TEST(AnswerText, WithoutStopsEverythingIsKept) {
    AnswerText text({});
    EXPECT_FALSE(text.add("Question:"));
    EXPECT_FALSE(text.add(std::string("\0\xff", 2)));
    EXPECT_EQ(text.text().size(), 11u);
    AnswerText empty({""});
    EXPECT_FALSE(empty.add("a"));
}

TEST(AnswerText, AStopOfOneByteInsideAPiece) {
    AnswerText text({"\n"});
    EXPECT_FALSE(text.add("ab"));
    EXPECT_TRUE(text.add("c\nd"));
    EXPECT_EQ(text.text(), "abc");
}

}  // namespace
}  // namespace kvt
