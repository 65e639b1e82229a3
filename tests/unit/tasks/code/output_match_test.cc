#include "kvt/tasks/code/output_match.h"

#include <string>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(OutputMatch, ComparesLinesAndExactDecimals) {
    const struct {
        const char *output, *expected;
        bool        match;
    } cases[] = {
        {"5", "5\n", true},
        {"  5 \n", "5", true},
        {"5.0", "5", true},
        {"1 2.50 3e2", "1.0 2.5 300", true},
        {"a  b", "a b", false},  // words are compared as a line
        {"1  2", "1 2", true},   // numbers are not
        {"0.1", "0.1000000000000000000000000001", false},
        {"1\n\n2", "1\n2", false},
        {"1\n 2 \n", "1\n2", true},
        {"1\n2", "1 2", false},
        {"", "", true},
        {"", "\n \n", true},
        {"0", "", false},
        {"nan", "nan", true},  // the lines are equal as text
        {"nan 1", "nan  1", false},
        {"Yes", "YES", false},
        {"1 x", "1.0 x", false},
        {"1\r\n2\r\n", "1\n2\n", true},
    };
    for (const auto & c : cases) {
        EXPECT_EQ(outputs_match(c.output, c.expected), c.match) << c.output << " | " << c.expected;
        EXPECT_EQ(outputs_match(c.expected, c.output), c.match) << c.expected << " | " << c.output;
    }
}

TEST(OutputMatch, DecimalsAreThoseOfPython) {
    for (const auto & [a, b] : {std::pair{"1", "1.000"},
                                {"-0", "0"},
                                {"+1", "1"},
                                {".5", "0.5"},
                                {"5.", "5"},
                                {"1E+3", "1000"},
                                {"1_000", "1000"},
                                {"inf", "Infinity"},
                                {"0e99", "0"},
                                {"120e-1", "12"},
                                {"007", "7"}})
        EXPECT_TRUE(decimals_equal(a, b)) << a << " " << b;
    for (const auto & [a, b] : {std::pair{"1", "-1"},
                                {"1", "1.0000001"},
                                {"nan", "nan"},
                                {"inf", "-inf"},
                                {"1e5", "1e"},
                                {"--1", "1"},
                                {"1.2.3", "1.2.3"},
                                {"x", "x"},
                                {"", ""},
                                {".", "."},
                                {"1e99999999999999999999", "1e99999999999999999999"},
                                {"0x10", "16"},
                                {"1e1", "1e+1x"}})
        EXPECT_FALSE(decimals_equal(a, b)) << a << " " << b;
}

TEST(OutputMatch, HugeOutputTakesLinearTime) {
    const std::string many(1 << 20, '7'), other = many + ".0";
    EXPECT_TRUE(outputs_match(many, other));
    std::string lines;
    for (int i = 0; i < 200000; ++i) lines += "1 2\n";
    EXPECT_TRUE(outputs_match(lines, lines));
    EXPECT_FALSE(outputs_match(lines + "3", lines));
}

}  // namespace
}  // namespace kvt
