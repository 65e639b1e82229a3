#include "kvt/tasks/math/answer.h"

#include <gtest/gtest.h>

#include "kvt/tasks/math/evaluate.h"

namespace kvt::tasks {
namespace {

struct Pair {
    const char *gold, *answer;
};

TEST(Lenient, Accepts) {
    for (const auto & [gold, answer] : {Pair{"1/2", "0.5"},
                                        {"\\frac{1}{12}", "0.0833333333333333"},
                                        {"1{,}234", "1234"},
                                        {"1\\frac{4}{5}", "9/5"},
                                        {"-1\\frac12", "-1.5"},
                                        {"\\sqrt{2}", "1.41421356"},
                                        {"2\\pi", "6.2831853"},
                                        {"(1,\\frac92)", "(1, 4.5)"},
                                        {"1,-2", "-2, 1"},
                                        {"\\{1,2\\}", "2,1"},
                                        {"1\\pm\\sqrt{2}", "1-\\sqrt{2},1+\\sqrt{2}"},
                                        {"90^\\circ", "$90$"},
                                        {"28\\%", "28%"},
                                        {"204_5", "204_{5}"},
                                        {"x=5", "5"},
                                        {"11,\\! 111", "11111"},
                                        {"\\text{East}", "east"}}) {
        EXPECT_TRUE(lenient_equal(gold, answer)) << gold << " | " << answer;
        EXPECT_TRUE(algebra_equal(gold, answer)) << gold << " | " << answer;
    }
}

TEST(Lenient, Refuses) {
    for (const auto & [gold, answer] : {Pair{"0.28", "28%"},
                                        {"(1,2)", "[1,2]"},
                                        {"(1,2)", "(2,1)"},
                                        {"32349", "32, 349"},
                                        {"204_5", "54"},
                                        {"1000000", "1000001"},
                                        {"1000000.0", "1000001"},
                                        {"12", "1,2"},
                                        {"2x+1", "1+2x"},
                                        {"5", ""}}) {
        EXPECT_FALSE(lenient_equal(gold, answer)) << gold << " | " << answer;
    }
}

TEST(Algebra, Accepts) {
    for (const auto & [gold, answer] : {Pair{"2x+1", "1+2x"},
                                        {"(x-2)(x+2)", "x^2-4"},
                                        {"\\frac{x+2}{7}", "\\frac x7+\\frac27"},
                                        {"x>5", "5<x"},
                                        {"y=2x+3", "2x-y+3=0"},
                                        {"15\\mbox{ cm}^2", "15"},
                                        {"125 miles", "125"},
                                        {"\\tan^2(y)+1", "\\sec^2(y)"},
                                        {"\\begin{pmatrix}1/2\\\\2\\end{pmatrix}", "\\begin{bmatrix}0.5\\\\2\\end{bmatrix}"},
                                        {"\\text{(C)}", "C"},
                                        {"(-\\infty,2)\\cup(3,\\infty)", "(3,\\infty) \\cup (-\\infty,2)"},
                                        {"x\\in[-2,7]", "[-2,7]"},
                                        {"-2\\le x\\le 7", "[-2,7]"},
                                        {"6+9i", "9i+6"},
                                        {"1\\pm\\sqrt2", "\\sqrt{2}+1,1-\\sqrt2"}}) {
        EXPECT_TRUE(algebra_equal(gold, answer)) << gold << " | " << answer;
    }
}

TEST(Algebra, Refuses) {
    for (const auto & [gold, answer] : {Pair{"x^2-4", "x^2-5"},
                                        {"x>5", "x<5"},
                                        {"x\\ge5", "x>5"},
                                        {"2^{100}", "2^{100}+1"},
                                        {"x+1", "y+1"},
                                        {"\\text{even}", "neve"},
                                        {"east", "seat"},
                                        {"15 cm", "15 inches"},
                                        {"7", "7 = 7x"},
                                        {"a+3z=0", "0"},
                                        {"2305843009213693951", "0"},
                                        {"\\sqrt{x^2}", "x"},
                                        {"[-2,7]", "-2<=x<=7"},
                                        {"(1,3)", "3,1"},
                                        {"\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"},
                                        {"C", "D"},
                                        {"x+1000000000000", "x+1000000000001"},
                                        {"1/0", "2/0"},
                                        {"-", "+"},
                                        {"()", "(())"}}) {
        EXPECT_FALSE(algebra_equal(gold, answer)) << gold << " | " << answer;
    }
}

TEST(Expression, RefusesWhatItDoesNotKnow) {
    for (const char * text : {"", "hello", "1 000", "x2", "1.2.3", "\\foo{1}", "|x|", "5!", "(1", "1)", "{1)", "2+", "*2",
                              "\\frac{1}", "\\sqrt", "^2"}) {
        EXPECT_FALSE(parse_expression(text)) << text;
    }
}

}  // namespace
}  // namespace kvt::tasks
