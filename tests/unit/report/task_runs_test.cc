#include "kvt/report/task_runs.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "support/task_records.h"

namespace kvt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<TaskRun> runs_of(const std::vector<TaskRecord> & records) {
    auto runs = task_runs(records, "tuned");
    EXPECT_TRUE(runs.ok()) << runs.error().message;
    return runs.ok() ? std::move(*runs) : std::vector<TaskRun>{};
}

TaskRecord begun(TaskRecord record, const std::string & when) {
    record.header[kStartedField] = when;
    return record;
}

TEST(TaskRuns, PlansOfTheSameQuestionsAreHeldAgainstStockF16) {
    std::vector<TaskRecord> records{task_record("KV2", {0, 0, 1, 0}), task_record("KV4", {1, 0, 0, 1}),
                                    task_record("f16 (stock)", {1, 1, 0, 1}, true), task_record("KV4", {1, 1})};
    records[3].header["prompts_sha256"] = "of two items";
    const auto runs                     = runs_of(records);
    ASSERT_EQ(runs.size(), 2u);
    EXPECT_EQ(runs[0].settings, "gsm8k text: 4 items, 1 sample each, at most 1024 new tokens, seed 7");
    ASSERT_EQ(runs[0].plans.size(), 3u);
    EXPECT_EQ(runs[0].plans[0].name, "f16 (stock)");
    EXPECT_TRUE(runs[0].plans[0].differences.empty());
    EXPECT_EQ(runs[0].plans[0].summary.scores[0].score.mean, 0.75);
    const TaskPlan & plan = runs[0].plans[1];
    EXPECT_EQ(plan.name, "KV2");
    const auto compared = compare_records(records[2], records[0]);
    EXPECT_EQ(to_json(plan.differences[0], 0.01), to_json(compared->scores[0], 0.01)) << "as kvtuner eval compare has it";
    ASSERT_EQ(plan.changed.size(), 4u);
    EXPECT_EQ(plan.changed[2].item, "2");
    EXPECT_EQ(plan.changed[2].reference_score, 0);
    EXPECT_EQ(plan.changed[2].score, 1);
    EXPECT_EQ(plan.changed[0].gold, "18");
    EXPECT_EQ(plan.changed[0].answer, "17");
    EXPECT_TRUE(runs[1].plans[0].differences.empty());
}

TEST(TaskRuns, SeveralAnswersPerItemGiveRowsOfTheirOwn) {
    TaskRecord record = task_record("KV4", {1, 0, 0, 0});
    for (size_t i = 0; i < record.lines.size(); ++i) {
        record.lines[i].item   = std::to_string(i / 2);
        record.lines[i].sample = static_cast<int>(i % 2);
    }
    const auto   runs   = runs_of({record});
    const auto & scores = runs[0].plans[0].summary.scores;
    ASSERT_EQ(scores.size(), 3u);
    EXPECT_EQ(scores[1].name, "flexible avg@2");
    EXPECT_EQ(scores[1].score.mean, 0.25);
    EXPECT_EQ(scores[2].name, "flexible pass@2");
    EXPECT_EQ(scores[2].score.mean, 0.5);
    EXPECT_EQ(task_runs_json(runs, 0.01).dump().find("\"samples\":[{"), std::string::npos);
}

TEST(TaskRuns, WithoutStockF16TheFirstThatWasBegunIsTheReference) {
    const auto runs = runs_of({begun(task_record("KV2", {0, 1}), "2026-01-02"), begun(task_record("KV8", {1, 1}), "2026-01-01")});
    EXPECT_EQ(runs[0].plans[0].name, "KV8");
    EXPECT_EQ(runs[0].plans[1].changed.size(), 1u);
}

TEST(TaskRuns, AnUnfinishedRecordIsShownAndNotCompared) {
    TaskRecord open = task_record("KV4", {1, 0, 0});
    open.summary    = nullptr;
    open.lines.pop_back();
    const auto runs = runs_of({task_record("f16 (stock)", {1, 1, 0}, true), open});
    EXPECT_FALSE(runs[0].plans[1].complete);
    EXPECT_EQ(runs[0].plans[1].summary.n_items, 2);
    EXPECT_TRUE(runs[0].plans[1].differences.empty());
    EXPECT_FALSE(compared(runs));
}

TEST(TaskRuns, TheSamePlanTwiceIsToldApartByItsFile) {
    TaskRecord copy = task_record("KV4", {1, 1});
    copy.path       = "tuned/more/KV4.jsonl";
    const auto runs = runs_of({task_record("KV4", {1, 1}), copy});
    EXPECT_EQ(runs[0].plans[1].name, "KV4 (more/KV4.jsonl)");
}

TEST(TaskRuns, AnswersAreOneShortLine) {
    TaskRecord reference = task_record("f16 (stock)", {1, 1}, true), plan = task_record("KV4", {0, 0});
    plan.lines[0].extracted = "two\nlines <b> and \xff";
    plan.lines[1].extracted = std::string(56, 'x') + "\xe2\x82\xac and more";
    const auto runs         = runs_of({reference, plan});
    EXPECT_EQ(runs[0].plans[1].changed[0].answer, "two lines <b> and \xef\xbf\xbd");
    EXPECT_EQ(runs[0].plans[1].changed[1].answer, std::string(56, 'x') + "...") << "no character is cut";
    plan.lines[1].scores.clear();
    plan.lines[1].error = "context_overflow: 5000 tokens";
    EXPECT_EQ(runs_of({reference, plan})[0].plans[1].changed[1].answer, "error: context_overflow: 5000 tokens");
}

TEST(TaskRuns, PrivateTextsAreNowhere) {
    TaskRecord reference = task_record("f16 (stock)", {1, 1}, true), plan = task_record("KV4", {0, 1});
    for (TaskRecord * record : {&reference, &plan}) {
        record->header["private_text"] = true;
        record->lines[0].gold          = "SECRET";
        record->lines[0].extracted     = "SECRET too";
        record->lines[0].response      = "SECRET words";
        record->lines[0].groups        = {{"domain", "SECRET"}};
    }
    plan.lines[0].error = "SECRET refusal";
    const auto runs     = runs_of({reference, plan});
    ASSERT_EQ(runs[0].plans[1].changed.size(), 1u);
    EXPECT_EQ(runs[0].plans[1].changed[0].gold, std::nullopt);
    EXPECT_THAT(task_runs_json(runs, 0.01).dump(), Not(HasSubstr("SECRET")));
}

TEST(TaskRuns, JsonHasTheComparisonsOfEvalCompare) {
    const std::vector<TaskRecord> records{task_record("f16 (stock)", {1, 1, 0, 1}, true), task_record("KV4", {1, 0, 0, 1})};
    const Json                    j    = task_runs_json(runs_of(records), 0.5);
    const Json &                  plan = j["runs"][0]["plans"][1];
    EXPECT_EQ(j["margin"], 0.5);
    EXPECT_EQ(plan["differences"], to_json(*compare_records(records[0], records[1]), 0.5)["scores"]);
    EXPECT_EQ(plan["summary"]["scores"], records[1].summary["scores"]);
    EXPECT_EQ(plan["changed"].dump(),
              R"([{"item":"1","sample":0,"gold":"18","reference":"18","answer":"17","reference_score":1.0,"score":0.0}])");
    EXPECT_EQ(plan["effective_bits"], 4.5);
    EXPECT_THAT(j.dump(), Not(HasSubstr("It is 1"))) << "whole responses would make the page long";
}

TEST(ReadTaskRecords, OfTheFolderAndThoseInsideItAndNoOtherJsonLines) {
    namespace fs             = std::filesystem;
    const std::string folder = ::testing::TempDir() + "kvt_task_records";
    fs::create_directories(folder + "/long/deep");
    const auto put = [&](const std::string & name, const std::string & text) {
        ASSERT_TRUE(write_file_atomic(folder + "/" + name, text).ok());
    };
    const std::string text = record_text(task_record("KV4", {1}));
    put("b.jsonl", text);
    put("long/a.jsonl", text);
    put("long/deep/c.jsonl", text);
    put("train.jsonl", "{\"question\": \"1 + 1\"}\n");
    put("begun.jsonl", "");
    put("notes.txt", text);
    auto records = read_task_records(folder);
    ASSERT_TRUE(records.ok()) << records.error().message;
    std::vector<std::string> paths;
    for (const TaskRecord & record : *records) paths.push_back(record.path);
    EXPECT_THAT(paths, ElementsAre(folder + "/b.jsonl", folder + "/long/a.jsonl"));
    put("b.jsonl", text + "{broken\n" + text);
    EXPECT_THAT(read_task_records(folder).error().message, HasSubstr("b.jsonl line 4: "));
    fs::remove_all(folder);
}

}  // namespace
}  // namespace kvt::testing
