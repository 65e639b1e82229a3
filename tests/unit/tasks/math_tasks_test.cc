#include <map>

#include "unit/tasks/task_files.h"

namespace kvt {
namespace {

using namespace testing;

TEST(Math500, AllGoldsFedBackAreRight) {
    const auto task = opened(options("math500"));
    ASSERT_TRUE(task);
    ASSERT_EQ(task->header().n_items, 500);
    std::map<std::string, int> levels;
    for (int i = 0; i < 500; ++i) {
        const auto item = task->item(i);
        ++levels[item->groups.at("level")];
        const Verdict verdict = task->score(i, "<think>\\boxed{0}</think>So $\\boxed{" + item->gold + "}$.");
        for (const char * name : {"strict", "lenient", "algebra"}) EXPECT_EQ(score_of(verdict, name), 1) << item->id;
        EXPECT_EQ(verdict.scores[0].first, "strict");
    }
    EXPECT_EQ(levels, (std::map<std::string, int>{{"1", 43}, {"2", 90}, {"3", 105}, {"4", 128}, {"5", 134}}));
}

// Gold i as the answer to problem i+1 is right only where the two golds are the same value.
TEST(Math500, GoldsOfOtherProblemsAreWrong) {
    const auto task = opened(options("math500"));
    for (int i = 0; i < 500; ++i) {
        const std::string own = task->item(i)->gold, other = task->item((i + 1) % 500)->gold;
        const Verdict     verdict = task->score(i, "\\boxed{" + other + "}");
        EXPECT_EQ(score_of(verdict, "algebra"), score_of(verdict, "strict")) << own << " | " << other;
    }
}

TEST(Math500, Prompts) {
    EXPECT_TRUE(opened(options("math500", "answer_line"))
                    ->item(0)
                    ->turns[0]
                    .text.starts_with("Solve the following problem. The final line"));
    EXPECT_TRUE(opened(options("math500", "base"))->item(0)->text.ends_with("\nAnswer:"));
    EXPECT_EQ(opened(options("math500", "base"))->header().stops, (std::vector<std::string>{"Problem:"}));
    EXPECT_EQ(score_of(opened(options("math500", "answer_line"))->score(1, "ANSWER: p-q"), "strict"), 1);
}

TEST(Aime, Scoring) {
    for (const char * name : {"aime24", "aime25"}) {
        const auto task = opened(options(name));
        ASSERT_TRUE(task);
        ASSERT_EQ(task->header().n_items, 30);
        for (int i = 0; i < 30; ++i) {
            const std::string gold = task->item(i)->gold;
            EXPECT_EQ(score_of(task->score(i, "\\boxed{0" + gold + ".}"), "correct"), 1);
            EXPECT_EQ(score_of(task->score(i, "\\boxed{1" + gold + "}"), "correct"), 0);
            EXPECT_EQ(task->score(i, "it is $" + gold + "$").flags, (std::vector<std::string>{"no_answer"}))
                << "only a box counts";
        }
    }
}

TEST(Aime, BadInput) {
    TaskOptions asked = options("aime24");
    asked.data        = {data_file("aime.jsonl", "{\"id\": \"a\", \"problem\": \"p\", \"answer\": \"1000\"}\n")};
    EXPECT_NE(open_error(asked).find("line 1: the field \"answer\" is not a whole number from 0 to 999"), std::string::npos);
    asked       = options("aime24");
    asked.shots = 4;
    EXPECT_NE(open_error(asked).find("aime24: has no shots"), std::string::npos);
}

}  // namespace
}  // namespace kvt
