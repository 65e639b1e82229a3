#include "kvt/tasks/code/humaneval.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "kvt/base/file_io.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;

const std::string kShipped = std::string(KVT_TEST_ROOT) + "/../data/humaneval/HumanEval.jsonl";

TaskOptions options(const std::string & path, const std::string & variant = "") {
    TaskOptions o;
    o.name = "humaneval";
    if (!path.empty()) o.data = {path};
    o.variant = variant;
    return o;
}

TEST(HumanEval, OpensTheShippedFile) {
    const auto task = open_humaneval(options(kShipped));
    ASSERT_TRUE(task.ok()) << task.error().message;
    const TaskHeader & header = (*task)->header();
    EXPECT_EQ(header.n_items, 164);
    EXPECT_EQ(header.variant, "completion");
    EXPECT_EQ(header.data_name, "HumanEval.jsonl");
    EXPECT_EQ(header.data_sha256.size(), 64u);
    const auto item = (*task)->item(0);
    ASSERT_TRUE(item.ok());
    EXPECT_EQ(item->id, "HumanEval/0");
    EXPECT_TRUE(item->turns.empty());
    EXPECT_TRUE(item->text.starts_with("from typing import List\n"));
    EXPECT_EQ(item->continuations, std::vector<std::string>{item->gold});
    EXPECT_FALSE((*task)->item(164).ok());
    EXPECT_FALSE((*task)->item(-1).ok());

    TaskOptions some = options(kShipped, "chat");
    some.limit       = 5;
    const auto chat  = open_humaneval(some);
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    EXPECT_EQ((*chat)->header().n_items, 5);
    ASSERT_EQ((*chat)->item(4)->turns.size(), 1u);
    EXPECT_THAT((*chat)->item(4)->turns[0].text, HasSubstr("def mean_absolute_deviation"));
}

TEST(HumanEval, WithoutConsentNothingIsScored) {
    const auto task = open_humaneval(options(kShipped, "chat"));
    ASSERT_TRUE(task.ok());
    const Verdict v = (*task)->score(0, "```python\ndef has_close_elements(a, b): return True\n```");
    EXPECT_EQ(v.extracted, "def has_close_elements(a, b): return True");
    EXPECT_TRUE(v.scores.empty());
    EXPECT_EQ(v.flags, std::vector<std::string>{"unscored"});
    EXPECT_EQ(v.error, "");
}

// These are wrong whatever runs.
TEST(HumanEval, EmptyAndBrokenResponsesAreWrong) {
    const auto task = open_humaneval(options(kShipped, "chat"));
    ASSERT_TRUE(task.ok());
    const std::pair<std::string, std::string> cases[] = {
        {"", "no_answer"}, {"no code", "no_answer"}, {"```\n\xff\n```", "bad_utf8"}};
    for (const auto & [response, flag] : cases) {
        const Verdict v = (*task)->score(0, response);
        ASSERT_EQ(v.scores.size(), 1u) << response;
        EXPECT_EQ(v.scores[0].second, 0.0);
        EXPECT_EQ(v.flags, (std::vector<std::string>{flag, "verdict=-4"}));
    }
}

TEST(HumanEval, NamesBadInput) {
    const std::string path = ::testing::TempDir() + "kvt_humaneval_" + std::to_string(::getpid()) + ".jsonl";
    const auto        row  = [](const char * id) {
        return nlohmann::json{{"task_id", id}, {"prompt", "p"}, {"entry_point", "f"}, {"canonical_solution", "s"}, {"test", "t"}}
                   .dump() +
               "\n";
    };
    const std::pair<std::string, std::string> cases[] = {
        {"", "the file is empty"},
        {"\n\n", "holds no problems"},
        {row("a") + "{", path + " line 2: not a JSON object"},
        {row("a") + "{\"task_id\": \"b\"}\n", path + " line 2: the field \"prompt\" is missing"},
        {row("a") + "{\"task_id\": 3}\n", path + " line 2: the field \"task_id\" is number, not text"},
        {row("a") + row("b") + row("a"), path + " line 3: task_id a stands in " + path + " line 1 already"},
        {"{\"task_id\": \"\xff\"}\n", path + " line 1: not UTF-8"},
    };
    for (const auto & [text, message] : cases) {
        ASSERT_TRUE(write_file_atomic(path, text).ok());
        const auto task = open_humaneval(options(path));
        ASSERT_FALSE(task.ok()) << text;
        EXPECT_THAT(task.error().message, HasSubstr(message));
    }
    std::filesystem::remove(path);
    EXPECT_THAT(open_humaneval(options(path)).error().message, HasSubstr("cannot read"));
    EXPECT_TRUE(open_humaneval(options("")).ok());  // the file that ships with kvtuner
    EXPECT_THAT(open_humaneval(options(kShipped, "text")).error().message,
                HasSubstr("no variant \"text\" (known: completion, chat)"));
    TaskOptions shots = options(kShipped);
    shots.shots       = 4;
    EXPECT_THAT(open_humaneval(shots).error().message, HasSubstr("4 shots"));
    TaskOptions negative = options(kShipped);
    negative.limit       = -1;
    EXPECT_THAT(open_humaneval(negative).error().message, HasSubstr("the limit is -1"));
}

}  // namespace
}  // namespace kvt
