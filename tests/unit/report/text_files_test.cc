#include "kvt/report/text_files.h"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/results.h"
#include "support/task_records.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::map<std::string, std::string> files_of(const Results & r) {
    std::map<std::string, std::string> files;
    for (const NamedText & file : csv_files(r)) files[file.name] = file.text;
    return files;
}

TEST(Markdown, TablesOfTheRecords) {
    const std::string text = markdown_report(example_results(), "1.2.3");
    EXPECT_THAT(text, StartsWith("# KV cache precision of example-4L\n"));
    EXPECT_THAT(text, HasSubstr("K 8844\nV 8442\n"));
    EXPECT_THAT(text,
                HasSubstr("4 plans scored on 8 chunks of 512 tokens; noise floor 0.0030 nats; effective bits at 4096 tokens."));
    EXPECT_THAT(text, HasSubstr("| KV4 | 4.00 | 4.50 | 0.0500 | 0.0400 to 0.0600 | front |"));
    EXPECT_THAT(text, HasSubstr("| **0.0081** | **0.0070 to 0.0090** | **chosen** |"));
    EXPECT_THAT(text, Not(HasSubstr("KV16")));
    EXPECT_THAT(text, HasSubstr("all others at 8 bits (standard error 0.00020)"));
    EXPECT_THAT(text, HasSubstr("| 3 | -0.00010 | 0.00400 |"));
    EXPECT_THAT(text,
                HasSubstr("| **tuned** | **5.50** | **6.00** | **0.0082** | **0.0071 to 0.0093** | **0.125** | **93.8 %** |  |"));
    EXPECT_THAT(text, HasSubstr("| KV8 | 8.00 | 8.50 | 0.0040 | 0.0035 to 0.0045 |  | 96.9 % | -0.0042 (-0.0051 to -0.0033) |"));
    EXPECT_THAT(text, HasSubstr("| 131072 | "));
    EXPECT_THAT(text, HasSubstr("* SHA-256 of the held-out text: " + hash_of('b')));
    EXPECT_THAT(text, HasSubstr("* report made by kvtuner: 1.2.3"));
}

TEST(Markdown, SensitivityAndGroupsOfThePaper) {
    const std::string text = markdown_report(paper_results(), "1.2.3");
    EXPECT_THAT(text, HasSubstr("| 1 | 0.020 | 0.040 | 0.060 | 0.080 | 0.100 | 0.120 | 0.140 | 0.160 | 0.180 |"));
    EXPECT_THAT(text, HasSubstr("| 1 | 2, 3 | KV4, KV2 |"));
    EXPECT_THAT(text, HasSubstr("* SHA-256 of the prompts: " + hash_of('5')));
}

TEST(Markdown, SpeedsOfABench) {
    Results r = example_results();
    EXPECT_THAT(markdown_report(r, "1.2.3"), Not(HasSubstr("## Speed")));
    r.bench                = example_bench();
    const std::string text = markdown_report(r, "1.2.3");
    EXPECT_THAT(text,
                HasSubstr("3 interleaved repetitions (slowest to fastest), and ratio to stock f16; 2 threads, Some Processor."));
    EXPECT_THAT(text, HasSubstr("| 4096 | tuned/plan.json | 140.0 (139.5 to 141.0) | 1.75 | 140.0 (139.5 to 141.0) | 1.75 |"));
    EXPECT_THAT(files_of(r)["bench.csv"], HasSubstr("4096,tuned/plan.json,1234,140,139.5,141,1.75,140,139.5,141,1.75\r\n"));
}

TEST(Markdown, ScoresOfTasks) {
    Results r = example_results();
    for (const char * part : {"## Tasks", "## Changed", "## Needles"})
        EXPECT_THAT(markdown_report(r, "1.2.3"), Not(HasSubstr(part))) << part;
    TaskRecord reference = task_record("f16 (stock)", {1, 1, 0, 1}, true), plan = task_record("KV4", {1, 0, 0, 1});
    for (TaskRecord * record : {&reference, &plan}) record->path = "tuned/" + record->path;
    plan.lines[1].extracted = "a|b <i>";
    r.tasks                 = *task_runs({reference, plan}, "tuned");
    r.margin                = 0.02;
    const std::string text  = markdown_report(r, "1.2.3");
    EXPECT_THAT(text, HasSubstr("* gsm8k text: 4 items, 1 sample each, at most 1024 new tokens, seed 7\n"));
    EXPECT_THAT(text, HasSubstr("| equal within 2 points |\n"));
    EXPECT_THAT(text, HasSubstr("| gsm8k text | f16 \\(stock\\) | 4 | flexible | 75.0 | 26.0 to 100.0 |  |  |  |  |\n"));
    EXPECT_THAT(text, HasSubstr("| gsm8k text | KV4 | 4 | flexible | 50.0 | 0.0 to 100.0 | -25.00 | "));
    EXPECT_THAT(text, HasSubstr(" | 1 | not shown, only within "));
    EXPECT_THAT(text, HasSubstr("| gsm8k text | KV4 | 1 | 18 | 18 | a\\|b \\<i\\> | lost |\n"));
    EXPECT_THAT(text, HasSubstr("kvtuner eval compare 'tuned/f16 (stock).jsonl' tuned/KV4.jsonl --margin 2\n"));

    const auto files = files_of(r);
    EXPECT_THAT(files.at("tasks.csv"), HasSubstr("\r\ngsm8k,text,f16 (stock),4.5,1,4,flexible,0.75,"));
    EXPECT_THAT(files.at("tasks.csv"), HasSubstr("\r\ngsm8k,text,KV4,4.5,1,4,flexible,0.5,"));
    EXPECT_THAT(files.at("tasks.csv"), HasSubstr(",1,0,1,"));  // lost, won, P
    EXPECT_THAT(files.at("tasks.csv"), HasSubstr(",0.02,0\r\n"));
    EXPECT_THAT(files.at("changed_answers.csv"), HasSubstr("\r\ngsm8k,text,KV4,1,0,18,18,a|b <i>,1,0\r\n"));
    EXPECT_FALSE(files.contains("needles.csv"));
}

TEST(Markdown, NoAnswerChanged) {
    Results r = example_results();
    r.tasks   = *task_runs({task_record("f16 (stock)", {1, 1}, true), task_record("KV4", {1, 1})}, "tuned");
    EXPECT_THAT(markdown_report(r, "1.2.3"), HasSubstr("No answer changed its verdict."));
}

TEST(Markdown, ManyChangedAnswersAreCutShort) {
    Results r = example_results();
    r.tasks   = *task_runs(
          {task_record("f16 (stock)", std::vector<double>(23, 1.0), true), task_record("KV4", std::vector<double>(23, 0.0))},
          "tuned");
    EXPECT_THAT(markdown_report(r, "1.2.3"), HasSubstr("\n\n3 more are in the HTML report and with --csv.\n"));
}

TEST(Markdown, NeedlesByLengthAndDepth) {
    Results r = example_results();
    r.tasks =
        *task_runs({needle_record("f16 (stock)", {1, 1, 1, 0, 1, 1}, true), needle_record("KV2", {1, 1, 0, 1, 1, 0})}, "tuned");
    const std::string text = markdown_report(r, "1.2.3");
    EXPECT_THAT(text, HasSubstr("| length | plan | 0-9 | 10-19 | 20-29 |\n"));
    EXPECT_THAT(text, HasSubstr("| 4096 | KV2 | 100 | 0 | 100 |\n| 8192 | KV2 | 100 | (100) | 0 |\n"));
    EXPECT_THAT(files_of(r).at("needles.csv"), HasSubstr("\r\nniah_single_1,chat,KV2,4096,10,1,0,1\r\n"));
}

TEST(Markdown, ANameOfMarkupStaysText) {
    Results r              = example_results();
    r.study.model.name     = "a|b <img> *c*\n# d";
    const std::string text = markdown_report(r, "1.2.3");
    EXPECT_THAT(text, StartsWith("# KV cache precision of a\\|b \\<img\\> \\*c\\* \\# d\n\n"));
}

TEST(Markdown, TheStudyAlone) {
    Results r = example_results();
    r.plan.reset();
    r.held_out.reset();
    r.chosen               = -1;
    r.study.complete       = false;
    const std::string text = markdown_report(r, "1.2.3");
    EXPECT_THAT(text, HasSubstr("(the search was not finished)"));
    for (const char * part : {"held-out", "Memory", "Plan by layer", "chosen"}) EXPECT_THAT(text, Not(HasSubstr(part)));
}

TEST(Csv, FullPrecisionAndEmptyForUnknown) {
    const auto files = files_of(example_results());
    ASSERT_EQ(files.size(), 5u);
    EXPECT_THAT(files.at("evaluations.csv"), StartsWith("index,label,payload_bits,effective_bits,kld,"));
    EXPECT_THAT(files.at("evaluations.csv"), HasSubstr("\r\n1,KV8,8,8.5,0.0041234567890123,,,1,0,KV8 KV8 KV8 KV8\r\n"));
    EXPECT_THAT(files.at("evaluations.csv"), HasSubstr(",0.0081,0.007,0.009,1,1,KV8 K8V4 KV4 K4V2\r\n"));
    EXPECT_THAT(files.at("held_out.csv"),
                HasSubstr("\r\nKV8,8,8.5,0.004,0.0035,0.0045,,0.96875,-0.0042,-0.0051,-0.0033,KV8 KV8 KV8 KV8\r\n"));
    EXPECT_THAT(files.at("increments.csv"), HasSubstr("\r\n3,3,-0.0001,0.004\r\n"));
    EXPECT_THAT(files.at("plan.csv"), HasSubstr("\r\n1,8,4,int8.pt64,int4.pt64\r\n"));
    EXPECT_THAT(files.at("memory.csv"), HasSubstr("\r\n1024,"));
}

TEST(Csv, SensitivityOfThePaper) {
    const auto files = files_of(paper_results());
    EXPECT_FALSE(files.contains("increments.csv"));
    EXPECT_THAT(files.at("sensitivity.csv"), HasSubstr("\r\n0,KV4,0.05\r\n"));
}

TEST(Csv, QuotesCellsThatNeedIt) {
    Results r                  = example_results();
    r.held_out->plans[1].label = "a,\"b\"";
    EXPECT_THAT(files_of(r).at("held_out.csv"), HasSubstr("\r\n\"a,\"\"b\"\"\",8,"));
}

}  // namespace
}  // namespace kvt::testing
