#include "unit/tasks/task_files.h"

namespace kvt {
namespace {

using namespace testing;

TEST(Gsm8k, AllGoldsFedBackAreRight) {
    const auto task = opened(options("gsm8k"));
    ASSERT_TRUE(task);
    ASSERT_EQ(task->header().n_items, 1319);
    EXPECT_EQ(task->header().max_new_tokens, 1024);
    int flexible = 0, strict = 0;
    for (int i = 0; i < 1319; ++i) {
        const Verdict verdict = task->score(i, task->item(i)->continuations[0]);
        flexible += score_of(verdict, "flexible") == 1;
        strict += score_of(verdict, "strict") == 1;
    }
    EXPECT_EQ(flexible, 1319);
    EXPECT_EQ(strict, 1319);
}

TEST(Gsm8k, Prompts) {
    TaskOptions asked = options("gsm8k", "text");
    asked.shots       = 2;
    const auto item   = opened(asked)->item(0);
    EXPECT_TRUE(item->text.starts_with("Question: Natalia sold clips"));
    EXPECT_NE(item->text.find("#### 72\n\nQuestion: Weng earns"), std::string::npos);
    EXPECT_NE(item->text.find("#### 10\n\nQuestion: Janet"), std::string::npos);
    EXPECT_TRUE(item->text.ends_with("\nAnswer:"));
    asked.variant = "chat";
    EXPECT_EQ(opened(asked)->item(0)->turns.at(0).text, item->text);
    asked.variant    = "multiturn";
    const auto turns = opened(asked)->item(0)->turns;
    ASSERT_EQ(turns.size(), 5u);
    EXPECT_EQ(turns[1].role, Turn::Role::assistant);
    EXPECT_TRUE(turns[1].text.ends_with("#### 72"));
    EXPECT_TRUE(opened(options("gsm8k", "cot_zeroshot"))->item(0)->text.ends_with("\nA: Let's think step by step."));
    EXPECT_TRUE(opened(options("gsm8k", "reasoning"))->item(0)->turns[0].text.ends_with("within \\boxed{}."));
}

TEST(Gsm8k, VariantsScoreWithTheirOwnRules) {
    EXPECT_EQ(score_of(opened(options("gsm8k", "cot_zeroshot"))->score(0, "The answer is 18."), "strict"), 1);
    EXPECT_EQ(score_of(opened(options("gsm8k", "llama"))->score(0, "The final answer is 18"), "strict"), 1);
    EXPECT_EQ(score_of(opened(options("gsm8k", "reasoning"))->score(0, "<think>\\boxed{3}</think>\\boxed{18}"), "strict"), 1);
    EXPECT_EQ(score_of(opened(options("gsm8k"))->score(0, "#### 18\nQuestion: 99"), "flexible"), 1)
        << "text behind a stop is not scored";
    EXPECT_EQ(opened(options("gsm8k"))->score(0, "").flags, (std::vector<std::string>{"no_answer"}));
    EXPECT_NE(opened(options("gsm8k"))->score(1319, "").error.find("no item 1319"), std::string::npos);
}

TEST(Gsm8k, BadInput) {
    TaskOptions asked = options("gsm8k");
    asked.shots       = 21;
    EXPECT_NE(open_error(asked).find("21 shots were asked for"), std::string::npos);
    asked.shots = 4;
    asked.data  = {
         data_file("gold.jsonl", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \"q\", \"answer\": \"18\"}\n")};
    EXPECT_NE(open_error(asked).find("line 2: the field \"answer\" has no \"#### \""), std::string::npos);
    EXPECT_NE(open_error(options("gsm8k", "best")).find("no variant \"best\" (known: text, chat"), std::string::npos);
    EXPECT_NE(open_error(options("gsm9k")).find("no task \"gsm9k\" (known: gsm8k"), std::string::npos);
    asked       = options("gsm8k");
    asked.limit = -1;
    EXPECT_NE(open_error(asked).find("limit of -1"), std::string::npos);
}

}  // namespace
}  // namespace kvt
