// Responses nobody should have to read: each must be scored, wrong, without a crash and without quadratic work.
#include "kvt/base/utf8.h"
#include "kvt/tasks/text.h"
#include "unit/tasks/task_files.h"

namespace kvt {
namespace {

using namespace testing;

std::string repeated(std::string_view part) {
    std::string text;
    while (text.size() < (size_t{1} << 20)) text += part;
    return text;
}

TEST(Hostile, EveryTaskScoresAMegabyteOfAnything) {
    TaskOptions gpqa = options("gpqa");
    gpqa.data        = {vector_path("gpqa_diamond_synthetic.csv")};
    std::vector<std::unique_ptr<Task>> tasks;
    for (const char * variant : {"text", "cot_zeroshot", "llama", "reasoning"})
        tasks.push_back(opened(options("gsm8k", variant)));
    for (const char * variant : {"boxed", "answer_line"}) tasks.push_back(opened(options("math500", variant)));
    tasks.push_back(opened(options("aime24")));
    tasks.push_back(opened(gpqa));
    TaskOptions needle  = options("niah_single_1");
    needle.length       = 4096;
    needle.count_tokens = [](const TaskItem &) -> Result<int> { return 100; };
    tasks.push_back(opened(needle));
    for (const char * part : {"{",
                              "\\boxed{",
                              "\\boxed{{",
                              "$",
                              "\\(",
                              "\\[",
                              "- ",
                              "1 ",
                              "<think>",
                              "</think>",
                              "Answer",
                              "Answer:   ",
                              "The answer is ",
                              "final answer is ",
                              "ANSWER:\n",
                              "\\frac",
                              "((",
                              "a=",
                              "1,",
                              "\xff",
                              "\\text{",
                              "\\boxed{1} "}) {
        const std::string text = repeated(part);
        for (const auto & task : tasks) {
            const Verdict verdict = task->score(0, text);
            EXPECT_EQ(verdict.scores[0].second, 0) << part;
            EXPECT_TRUE(verdict.error.empty());
            EXPECT_LE(verdict.extracted.size(), 3000u);
            EXPECT_TRUE(is_utf8(verdict.extracted));
        }
    }
}

// Of a program only its extraction is at stake here: nothing runs without consent.
TEST(Hostile, CodeTasksReadAMegabyteOfAnything) {
    TaskOptions lcb = options("livecodebench");
    lcb.data        = {std::string(KVT_TEST_ROOT) + "/data/livecodebench/sample.jsonl"};
    std::vector<std::unique_ptr<Task>> tasks;
    tasks.push_back(opened(options("humaneval", "chat")));
    tasks.push_back(opened(options("humaneval", "completion")));
    tasks.push_back(opened(lcb));
    for (const char * part : {"{", "`", "```", "```\n", "```python\n", "\n", "def ", "async def has_close_elements", "</think>",
                              "<think>```\n", "(((((", "\\", "'''", "\xc3\xa9"}) {
        const std::string text = repeated(part);
        for (const auto & task : tasks) {
            const Verdict verdict = task->score(0, text);
            EXPECT_TRUE(verdict.error.empty());
            for (const auto & [name, value] : verdict.scores) EXPECT_EQ(value, 0) << part << " " << name;
        }
    }
    for (const std::string & text : std::vector<std::string>{std::string("```\nprint(1) \xff\n```"), repeated("\xff```\n"),
                                                             std::string("```\nprint(1)\0\n```", 16)}) {
        for (const auto & task : tasks) {
            const Verdict verdict = task->score(0, text);
            ASSERT_EQ(verdict.scores.size(), 1u) << "wrong, and not unscored";
            EXPECT_EQ(verdict.scores[0].second, 0);
            EXPECT_EQ(verdict.flags.front(), "bad_utf8");
        }
    }
}

TEST(Hostile, DamagedTextIsWrongAndFlagged) {
    const auto task = opened(options("gsm8k"));
    for (const std::string & text : {std::string("#### 18\xff"), std::string("#### 18 \0", 9)}) {
        const Verdict verdict = task->score(0, text);
        EXPECT_EQ(score_of(verdict, "flexible"), 0);
        EXPECT_EQ(verdict.flags, (std::vector<std::string>{"bad_utf8"}));
    }
    const Verdict unclosed = opened(options("math500"))->score(0, "\\boxed{" + repeated("{"));
    EXPECT_EQ(unclosed.rule, "whole");
    EXPECT_EQ(unclosed.flags, (std::vector<std::string>{"unclosed"}));
}

}  // namespace
}  // namespace kvt
