#include "kvt/report/results.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/tuner/study_store.h"
#include "support/results.h"
#include "support/task_records.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;

class ReadResults : public ::testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void put(const char * name, const std::string & text) { ASSERT_TRUE(write_file_atomic(folder_ + "/" + name, text).ok()); }
    void put(const Results & r) {
        ASSERT_TRUE(StudyStore::create(folder_ + "/study.sqlite", r.study).ok());
        if (r.held_out) put("held_out.json", write_record(*r.held_out));
        if (r.plan) put("plan.json", write_plan(*r.plan));
        if (r.sensitivity) put("sensitivity.json", write_record(*r.sensitivity));
        if (r.candidates) put("candidates.json", write_record(*r.candidates));
        if (r.bench) put("bench.json", bench_json(*r.bench).dump());
    }
    std::string complaint() {
        const auto read = read_results(folder_);
        return read.ok() ? "" : read.error().message;
    }

    const std::string folder_ =
        ::testing::TempDir() + "kvt_results_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ReadResults, AllRecordsAndTheChosenPlan) {
    put(paper_results());
    const auto read = read_results(folder_);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->study.evaluations.size(), 4u);
    EXPECT_EQ(read->held_out->plans.size(), 2u);
    EXPECT_EQ(read->sensitivity->layers.size(), 4u);
    EXPECT_EQ(read->candidates->layers.size(), 4u);
    EXPECT_EQ(read->chosen, 3);
    EXPECT_EQ(chosen_pairs(*read), chosen_example());
}

TEST_F(ReadResults, TheStudyAloneIsEnough) {
    Results r = example_results();
    r.held_out.reset();
    r.plan.reset();
    put(r);
    const auto read = read_results(folder_);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->chosen, -1);
    EXPECT_TRUE(chosen_pairs(*read).empty());
}

TEST_F(ReadResults, WithoutAPlanTheCheckedOneIsTheChosen) {
    Results r = example_results();
    r.plan.reset();
    put(r);
    EXPECT_EQ(read_results(folder_)->chosen, 3);
}

TEST_F(ReadResults, NoStudyIsAnError) {
    EXPECT_THAT(complaint(), HasSubstr("study.sqlite does not exist: give the folder that kvtuner tune -o wrote"));
}

TEST_F(ReadResults, AStudyWithoutPlansIsAnError) {
    Results r = example_results();
    r.study.evaluations.clear();
    r.study.front.clear();
    put(r);
    EXPECT_THAT(complaint(), HasSubstr("study.sqlite holds no plan yet: wait until tune has scored one"));
}

TEST_F(ReadResults, AStudyOfAnEarlierVersionIsRead) {
    put(example_results());
    std::filesystem::remove(folder_ + "/study.sqlite");
    put("study.json", write_record(example_results().study));
    EXPECT_EQ(read_results(folder_)->chosen, 3);
}

TEST_F(ReadResults, ABrokenFileIsNamed) {
    put(example_results());
    put("held_out.json", "{");
    EXPECT_THAT(complaint(), HasSubstr("held_out.json: "));
}

TEST_F(ReadResults, AnotherModelIsAnError) {
    Results r                     = example_results();
    r.held_out->model.file_sha256 = hash_of('f');
    put(r);
    EXPECT_THAT(complaint(), HasSubstr("held_out.json is of the model \"example-4L\" (ffffffffffff), the study of"));
}

TEST_F(ReadResults, SpeedsAreOfTheSameModel) {
    Results r = example_results();
    r.bench   = example_bench();
    put(r);
    EXPECT_EQ(read_results(folder_)->bench->rows.size(), 4u);
    r.bench->file_sha256 = hash_of('f');
    put(r);
    EXPECT_THAT(complaint(), HasSubstr("bench.json is of the model \"example-4L\" (ffffffffffff), the study of"));
}

TEST_F(ReadResults, RecordsOfTasksAreOfTheSameModel) {
    put(example_results());
    EXPECT_TRUE(read_results(folder_)->tasks.empty());
    TaskRecord record = task_record("KV4", {1, 0});
    put("gsm8k-text-KV4.jsonl", record_text(record));
    const auto read = read_results(folder_);
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->tasks.size(), 1u);
    EXPECT_EQ(read->tasks[0].plans[0].file, "gsm8k-text-KV4.jsonl");
    record.header["model"]["file_sha256"] = hash_of('f');
    put("gsm8k-text-KV4.jsonl", record_text(record));
    EXPECT_THAT(complaint(), HasSubstr("gsm8k-text-KV4.jsonl is of the model \"example-4L\" (ffffffffffff), the study of"));
    record.header.erase("model");
    put("gsm8k-text-KV4.jsonl", record_text(record));
    EXPECT_THAT(complaint(), HasSubstr("gsm8k-text-KV4.jsonl does not say which model answered"));
    record.header["schema_version"] = 2;
    put("gsm8k-text-KV4.jsonl", record_text(record));
    EXPECT_THAT(complaint(), HasSubstr("gsm8k-text-KV4.jsonl line 1: a schema_version that this kvtuner does not know"));
}

TEST_F(ReadResults, APlanThatWasNotCheckedIsAnError) {
    Results r                  = example_results();
    r.held_out->plans[0].pairs = uniform(8, 8);
    put(r);
    EXPECT_THAT(complaint(), HasSubstr("holds another plan than"));
}

}  // namespace
}  // namespace kvt::testing
