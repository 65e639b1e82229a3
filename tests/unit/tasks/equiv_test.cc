#include "kvt/tasks/math/equiv.h"

#include <cstdlib>

#include "kvt/tasks/math/boxed.h"
#include "unit/tasks/task_files.h"

namespace kvt::tasks {
namespace {

using kvt::testing::vectors;

TEST(IsEquiv, TheCasesOfItsAuthorsBothWays) {
    const auto rows = vectors("hendrycks_is_equiv_cases.jsonl");
    ASSERT_EQ(rows.size(), 16u);
    for (const auto & row : rows) {
        const std::string a = row["a"], b = row["b"];
        EXPECT_EQ(is_equiv(a, b), row["equiv"].get<bool>()) << row["name"];
        EXPECT_EQ(is_equiv(b, a), row["equiv"].get<bool>()) << row["name"];
    }
}

TEST(IsEquiv, AllGoldsOfMath500) {
    const auto rows = vectors("math500_gold_normalised.jsonl");
    ASSERT_EQ(rows.size(), 500u);
    for (const auto & row : rows) {
        const std::string answer = row["answer"];
        EXPECT_EQ(hendrycks_strip(answer).value_or("abort"), row["hendrycks_strip"].get<std::string>()) << answer;
        const std::string response = "So the answer is $\\boxed{" + answer + "}$, I hope.";
        EXPECT_EQ(final_answer(response, AnswerLine::no).text, answer);
    }
}

TEST(IsEquiv, BoxesOfTheOriginalSolutions) {
    const char * path = std::getenv("KVT_MATH500_WITH_SOLUTIONS");
    if (path == nullptr)
        GTEST_SKIP()
            << "needs the original MATH-500 test.jsonl, whose solutions are not passed on: KVT_MATH500_WITH_SOLUTIONS=FILE";
    std::ifstream in(path);
    int           n = 0;
    for (std::string line; std::getline(in, line); ++n) {
        const auto        row      = nlohmann::json::parse(line);
        const std::string solution = row["solution"];
        EXPECT_EQ(final_answer(solution, AnswerLine::no).text, row["answer"].get<std::string>()) << row["unique_id"];
    }
    EXPECT_EQ(n, 500);
}

TEST(IsEquiv, KnownEffectsAreKept) {
    EXPECT_TRUE(is_equiv("28\\%", "28"));
    EXPECT_FALSE(is_equiv("28%", "28"));
    EXPECT_TRUE(is_equiv("7 = x", "x"));
    EXPECT_FALSE(is_equiv("-\\frac12", "-1/2"));
    EXPECT_TRUE(is_equiv("0.5", "\\frac12"));
    EXPECT_EQ(hendrycks_strip("\\sqrt"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("2\\text{ m} + \\text{ s}"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("x/2"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("01/2"), "01/2");
    EXPECT_FALSE(is_equiv(std::nullopt, std::nullopt));
}

TEST(FinalAnswer, Rules) {
    const auto rule = [](std::string_view text) { return final_answer(text, AnswerLine::no); };
    EXPECT_EQ(rule("\\boxed{1} then \\boxed 2$ x").text, "2");
    EXPECT_EQ(rule("\\boxed{1} then \\boxed{\\frac{1}{2}}").text, "\\frac{1}{2}");
    EXPECT_EQ(rule("\\fbox{3}").rule, "fbox");
    EXPECT_EQ(rule("is $4$").text, "4");
    EXPECT_EQ(rule("five").rule, "whole");
    EXPECT_EQ(rule("<think>\\boxed{1}</think> \\boxed{2}").text, "2");
    EXPECT_TRUE(rule("\\boxed{1 $x$").unclosed);
    EXPECT_EQ(rule("\\boxed{1 $x$").rule, "dollar");
    EXPECT_EQ(final_answer("ANSWER: 1\nANSWER: 2\n\\boxed{3}", AnswerLine::first).text, "2");
}

}  // namespace
}  // namespace kvt::tasks
