#include "kvt/tasks/code/livecodebench.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/tasks/code/lcb_convert.h"

namespace kvt {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

const std::string kSample = std::string(KVT_TEST_ROOT) + "/data/livecodebench/sample.jsonl";

TaskOptions options(std::vector<std::string> data, const std::string & window = "") {
    TaskOptions o;
    o.name   = "livecodebench";
    o.data   = std::move(data);
    o.window = window;
    return o;
}

std::string scratch(const std::string & name) {
    return ::testing::TempDir() + "kvt_lcb_" + std::to_string(::getpid()) + "_" + name;
}

ordered_json row(const std::string & id) {
    const auto text    = read_file(kSample);
    auto       row     = ordered_json::parse(text->substr(0, text->find('\n')));
    row["question_id"] = id;
    return row;
}

TEST(LiveCodeBench, PromptsAreUpstreams) {
    const auto task = open_livecodebench(options({kSample}));
    ASSERT_TRUE(task.ok()) << task.error().message;
    EXPECT_EQ((*task)->header().n_items, 3);
    EXPECT_EQ((*task)->header().variant, "all");
    EXPECT_EQ((*task)->header().data_sha256, *sha256_file(kSample));
    const auto a = (*task)->item(0), b = (*task)->item(1);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->id, "synth_a");
    EXPECT_EQ(a->groups.at("difficulty"), "easy");
    ASSERT_EQ(a->turns.size(), 1u);
    EXPECT_EQ(
        a->turns[0].text,
        "You will be given a question (problem specification) and will generate a correct Python program that matches the "
        "specification and passes all tests.\n\nQuestion: You are given two integers A and B on one line. Print A+B.\n\nSample "
        "Input 1\n\n2 3\n\nSample Output 1\n\n5\n\n\nRead the inputs from stdin solve the problem and write the answer to stdout "
        "(do not directly test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when the "
        "python "
        "program runs, it reads the inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE "
        "HERE\n```\n\n");
    EXPECT_THAT(
        b->turns[0].text,
        ::testing::EndsWith("\n\nYou will use the following starter code to write the solution to the problem and enclose your "
                            "code within delimiters.\n```python\nclass Solution:\n    def runningMax(self, nums: List[int]) -> "
                            "List[int]:\n        \n```\n\n"));
}

TEST(LiveCodeBench, WithoutConsentNothingIsScored) {
    const auto task = open_livecodebench(options({kSample}));
    ASSERT_TRUE(task.ok());
    const Verdict v = (*task)->score(0, "```python\nprint(5)\n```\n");
    EXPECT_TRUE(v.scores.empty());
    EXPECT_EQ(v.flags, std::vector<std::string>{"unscored"});
    EXPECT_EQ(v.extracted, "print(5)");
}

TEST(LiveCodeBench, NamesBadInputAndTheQuestion) {
    const std::string path = scratch("bad.jsonl");
    const auto        with = [](const char * field, const ordered_json & value) {
        auto r   = row("q1");
        r[field] = value;
        return r.dump() + "\n";
    };
    const auto tests = [&](const char * list) { return with("public_test_cases", list); };
    const auto lacks = [](const char * field) {
        auto r = row("q1");
        r.erase(field);
        return r.dump() + "\n";
    };
    auto none                 = row("q1");
    none["public_test_cases"] = none["private_test_cases"] = "[]";
    const std::string                         at           = path + " line 1: question q1: ";
    const std::pair<std::string, std::string> cases[]      = {
             {"", "the file is empty"},
             {"nonsense\n", path + " line 1: not a JSON object"},
             {lacks("question_title"), path + " line 1: the field \"question_title\" is missing"},
             {lacks("metadata"), path + " line 1: the field \"metadata\" is missing"},
             {with("starter_code", nullptr), path + " line 1: the field \"starter_code\" is null, not text"},
             {with("question_id", 5), path + " line 1: the field \"question_id\" is number, not text"},
             {with("question_id", ""), path + " line 1: question_id is empty"},
             {row("q1").dump() + "\n" + row("q1").dump() + "\n", path + " line 2: question q1 stands in " + path + " line 1 already"},
             {with("contest_date", "last week"), at + "contest_date \"last week\" is not a date"},
             {with("private_test_cases", "@@@@"), at + "private_test_cases: bad base64"},
             {with("private_test_cases", "aGVsbG8="), at + "private_test_cases: bad zlib data"},
             {with("private_test_cases", "eJxrYGgEAAEFAIU="), at + "private_test_cases: "},
             {with("private_test_cases", "[1]"), at + "test 0 of private_test_cases has no texts input, output and testtype"},
             {with("private_test_cases", "[{"), at + "private_test_cases is not a JSON list"},
             {tests("{}"), at + "public_test_cases is not a JSON list"},
             {tests(R"([{"input": "", "output": "", "testtype": "magic"}])"),
              at + "test 0 of public_test_cases has testtype \"magic\""},
             {tests(R"([{"input": "", "output": "", "testtype": "functional"}])"),
              at + "it has functional tests, and its metadata has no func_name"},
             {with("metadata", "[]"), at + "metadata is not a JSON object"},
             {none.dump() + "\n", at + "it has no tests"},
    };
    for (const auto & [text, message] : cases) {
        ASSERT_TRUE(write_file_atomic(path, text).ok());
        const auto task = open_livecodebench(options({path}));
        ASSERT_FALSE(task.ok()) << text;
        EXPECT_THAT(task.error().message, HasSubstr(message));
    }
    std::filesystem::remove(path);
    EXPECT_THAT(open_livecodebench(options({})).error().message, HasSubstr("livecodebench/code_generation_lite"));
    EXPECT_THAT(open_livecodebench(options({path})).error().message, HasSubstr("cannot read"));
    EXPECT_THAT(open_livecodebench(options({kSample}, "v5")).error().message,
                HasSubstr("none of 3 problems lies in the window v5"));
    EXPECT_THAT(open_livecodebench(options({kSample}, "v9")).error().message, HasSubstr("is not a date window"));
    EXPECT_THAT(open_livecodebench(options({kSample, kSample})).error().message, HasSubstr("question synth_a stands in"));
}

TEST(LiveCodeBench, WarnsWhenAPresetHasAnotherCount) {
    auto r            = row("q1");
    r["contest_date"] = "2024-09-01T00:00:00";
    ASSERT_TRUE(write_file_atomic(scratch("v5.jsonl"), r.dump()).ok());
    const auto task = open_livecodebench(options({scratch("v5.jsonl")}, "v5"));
    ASSERT_TRUE(task.ok()) << task.error().message;
    EXPECT_EQ((*task)->header().warnings.size(), 2u);
    EXPECT_THAT((*task)->header().warnings.back(), HasSubstr("1 problems lie in the window v5, upstream counts 279"));
}

TEST(LcbConvert, SortsDecodesAndCounts) {
    auto late = row("late"), early = row("early");
    late["contest_date"]  = "2025-02-01T00:00:00";
    early["contest_date"] = "2025-01-01T00:00:00";
    late["extra"]         = {{"kept", "as it is"}};
    ASSERT_TRUE(write_file_atomic(scratch("1.jsonl"), late.dump() + "\n" + row("outside").dump() + "\n").ok());
    ASSERT_TRUE(write_file_atomic(scratch("2.jsonl"), early.dump()).ok());
    const std::vector<std::string> inputs{scratch("1.jsonl"), scratch("2.jsonl")};
    const auto counts = convert_livecodebench(inputs, *parse_window("jan-apr-2025"), scratch("out.jsonl"), no_progress());
    ASSERT_TRUE(counts.ok()) << counts.error().message;
    EXPECT_EQ(counts->kept, 2);
    EXPECT_EQ(counts->files[0].rows, 2);
    EXPECT_EQ(counts->files[0].kept, 1);
    EXPECT_EQ(counts->difficulty.at("easy"), 2);
    EXPECT_EQ(counts->platform.at("atcoder"), 2);
    EXPECT_EQ(counts->problems.at("stdin"), 2);
    EXPECT_EQ(counts->tests.at("stdin"), 6);  // one public, two private each

    const auto text             = *read_file(scratch("out.jsonl"));
    early["private_test_cases"] = late["private_test_cases"] =
        ordered_json::parse(text.substr(0, text.find('\n')))["private_test_cases"];
    EXPECT_EQ(text, early.dump() + "\n" + late.dump() + "\n");  // every other field as it was, in its order
    EXPECT_TRUE(ordered_json::parse(early["private_test_cases"].get<std::string>()).is_array());
    EXPECT_TRUE(open_livecodebench(options({scratch("out.jsonl")})).ok());
}

TEST(LcbConvert, LeavesNothingHalfWritten) {
    const std::string out = scratch("kept.jsonl");
    ASSERT_TRUE(write_file_atomic(out, "before").ok());
    auto bad                  = row("bad");
    bad["private_test_cases"] = "@@@@";
    ASSERT_TRUE(write_file_atomic(scratch("bad2.jsonl"), row("good").dump() + "\n" + bad.dump()).ok());
    const auto counts = convert_livecodebench({scratch("bad2.jsonl")}, LcbWindow{}, out, no_progress());
    ASSERT_FALSE(counts.ok());
    EXPECT_THAT(counts.error().message, HasSubstr("line 2: question bad: private_test_cases: bad base64"));
    EXPECT_EQ(*read_file(out), "before");
    EXPECT_THAT(convert_livecodebench({out}, LcbWindow{}, out, no_progress()).error().message,
                HasSubstr("is an input and the output"));
    for (const auto & entry : std::filesystem::directory_iterator(::testing::TempDir()))
        EXPECT_EQ(entry.path().string().find(out + ".tmp"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace kvt
