#include "kvt/cli/objective_options.h"

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/base/shipped_data.h"
#include "support/fake_runner.h"

namespace kvt::cli {
namespace {

using testing::FakeRunner;

class TuningTask : public ::testing::Test {
protected:
    std::string refusal(const ObjectiveOptions & o) {
        const auto task = open_tuning_task(o, runner_, TuningItems::searched);
        return task.ok() ? "" : task.error().message;
    }
    // `lines` lines of a shipped file behind the first `skip`.
    std::string part_of(const std::string & shipped, size_t skip, size_t lines) {
        const std::string whole = *read_file(*shipped_data(shipped));
        std::string       part;
        for (size_t at = 0, line = 0; line < skip + lines; ++line) {
            const size_t end = whole.find('\n', at) + 1;
            if (line >= skip) part += whole.substr(at, end - at);
            at = end;
        }
        const std::string path = ::testing::TempDir() + "kvt_tuning_items.jsonl";
        EXPECT_TRUE(write_file_atomic(path, part).ok());
        return path;
    }

    FakeRunner runner_;
};

ObjectiveOptions of(const std::string & name, int n_items = 0) {
    ObjectiveOptions o;
    o.name    = name;
    o.n_items = n_items;
    return o;
}

TEST_F(TuningTask, Gsm8kComesFromTheTrainSplitBehindShotsAndProfile) {
    const auto task = open_tuning_task(of("gsm8k"), runner_, TuningItems::searched);
    ASSERT_TRUE(task.ok()) << task.error().message;
    EXPECT_EQ((*task)->header().n_items, 200);
    EXPECT_EQ((*task)->header().shots, 4);
    EXPECT_EQ((*task)->header().max_new_tokens, 256);
    EXPECT_EQ((*task)->item(0)->id, "20");
    EXPECT_EQ((*task)->item(199)->id, "219");
    // The verdict is that of the same item.
    EXPECT_EQ((*task)->score(3, "#### " + (*task)->item(3)->gold).scores[0].second, 1.0);

    ObjectiveOptions loglik = of("gsm8k");
    loglik.score            = "loglik";
    const auto others       = open_tuning_task(loglik, runner_, TuningItems::others);
    ASSERT_TRUE(others.ok()) << others.error().message;
    EXPECT_EQ((*others)->header().n_items, 24);
    EXPECT_EQ((*others)->item(0)->id, "44");
}

TEST_F(TuningTask, TooFewItemsAreCounted) {
    EXPECT_NE(refusal(of("gsm8k", 500)).find("has 400 behind the 20 that are used otherwise"), std::string::npos)
        << refusal(of("gsm8k", 500));
}

TEST_F(TuningTask, TestSplitsAreRefused) {
    for (const char * name : {"math500", "aime24", "gpqa", "humaneval", "livecodebench", "wiki_single_2"}) {
        const std::string why = refusal(of(name));
        EXPECT_NE(why.find(std::string(name) + ": it has a test split only"), std::string::npos) << why;
    }
    ObjectiveOptions tests = of("gsm8k", 10);
    tests.data             = part_of("gsm8k/test.jsonl", 100, 40);
    EXPECT_NE(refusal(tests).find("is in the test split of gsm8k"), std::string::npos) << refusal(tests);
    tests      = of("math500", 5);
    tests.data = part_of("math500/test.jsonl", 7, 5);
    EXPECT_NE(refusal(tests).find("is in the test split of math500"), std::string::npos) << refusal(tests);
    EXPECT_NE(refusal(of("gsm9k")).find("there is no task \"gsm9k\""), std::string::npos);
}

TEST_F(TuningTask, UsersOwnItemsAndGeneratedOnes) {
    ObjectiveOptions own = of("math500", 1);
    own.data             = ::testing::TempDir() + "kvt_own.jsonl";
    ASSERT_TRUE(write_file_atomic(
                    own.data,
                    R"({"problem": "What is 1 + 1?", "answer": "2", "subject": "Algebra", "level": 1, "unique_id": "own/1"})"
                    "\n")
                    .ok());
    EXPECT_EQ(refusal(own), "");
    ObjectiveOptions needle = of("niah_single_1", 3);
    needle.length           = 600;
    EXPECT_EQ(refusal(needle), "");
    needle.data = own.data;
    EXPECT_NE(refusal(needle).find("--task-data: niah_single_1 makes its own texts"), std::string::npos) << refusal(needle);
}

TEST(ObjectiveSourceOf, TextAndTask) {
    FakeRunner  runner;
    ScoringText text;
    text.text         = "some text";
    const auto by_kld = objective_source({}, text, runner, no_progress());
    ASSERT_TRUE(by_kld.ok());
    EXPECT_EQ(by_kld->name, kKldObjective);
    EXPECT_EQ(by_kld->chunk_tokens, 512);
    const auto by_task = objective_source(of("gsm8k", 4), text, runner, no_progress());
    ASSERT_TRUE(by_task.ok()) << by_task.error().message;
    EXPECT_EQ(by_task->name, "gsm8k accuracy");
}

}  // namespace
}  // namespace kvt::cli
