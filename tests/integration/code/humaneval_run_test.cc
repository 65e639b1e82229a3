// HumanEval through the real sandbox: what is right passes, what is wrong does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/tasks/code/humaneval.h"
#include "support/sandbox.h"

namespace kvt {
namespace {

std::unique_ptr<Task> opened(const char * variant) {
    TaskOptions o;
    o.name                 = "humaneval";
    o.variant              = variant;
    o.data                 = {std::string(KVT_TEST_ROOT) + "/../data/humaneval/HumanEval.jsonl"};
    o.allow_code_execution = true;
    auto task              = open_humaneval(o);
    EXPECT_TRUE(task.ok()) << task.error().message;
    return task.ok() ? std::move(*task) : nullptr;
}

double score(const Task & task, int index, const std::string & response) {
    const Verdict v = task.score(index, response);
    EXPECT_EQ(v.error, "");
    EXPECT_EQ(v.scores.size(), 1u);
    return v.scores.empty() ? -1 : v.scores[0].second;
}

TEST(HumanEvalRun, All164CanonicalSolutionsPass) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto task = opened("completion");
    ASSERT_NE(task, nullptr);
    int passed = 0;
    for (int i = 0; i < task->header().n_items; ++i) {
        const auto   item = task->item(i);
        const double s    = score(*task, i, item->gold);
        EXPECT_EQ(s, 1.0) << item->id;
        passed += s == 1.0 ? 1 : 0;
    }
    EXPECT_EQ(passed, 164);
}

// The same functions with an answer that no problem wants.
TEST(HumanEvalRun, NoMutatedSolutionPasses) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto task = opened("completion");
    ASSERT_NE(task, nullptr);
    for (int i = 0; i < task->header().n_items; ++i)
        EXPECT_EQ(score(*task, i, "    return 'mutated'\n"), 0.0) << task->item(i)->id;
}

TEST(HumanEvalRun, ChatBlocksReplaceOrContinueThePrompt) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto task = opened("chat");
    ASSERT_NE(task, nullptr);
    const auto item = task->item(0);
    EXPECT_EQ(score(*task, 0, item->continuations[0]), 1.0);
    EXPECT_EQ(score(*task, 0, "The body:\n```python\n" + item->gold + "\n```"), 1.0);
    EXPECT_EQ(score(*task, 0, item->gold), 0.0);
}

TEST(HumanEvalRun, WaysAroundTheChecksFail) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto task = opened("completion");
    ASSERT_NE(task, nullptr);
    for (const std::string & body :
         {std::string("    return '\0'\n", 15), std::string("    pass\nimport sys; sys.exit(0)\n"),
          std::string("    pass\nimport os; os._exit(0)\n"), std::string("    pass\nraise SystemExit(42)\n"),
          std::string("    this is no python\n"), std::string("    import os; os.kill(1, 9); os.kill(-1, 9)\n")})
        EXPECT_EQ(score(*task, 0, body), 0.0) << body;
    const Verdict endless = task->score(0, "    while True: pass\n");
    EXPECT_THAT(endless.flags, ::testing::Contains("verdict=-3"));
    const Verdict loud = task->score(0, "    while True: print('x' * 100000)\n");
    EXPECT_EQ(loud.scores.at(0).second, 0.0);
}

}  // namespace
}  // namespace kvt
