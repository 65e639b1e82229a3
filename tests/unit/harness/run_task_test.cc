#include "kvt/harness/run_task.h"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "support/fake_runner.h"
#include "support/fake_task.h"

namespace kvt {
namespace {

using testing::FakeRunner;
using testing::FakeTask;
using ::testing::HasSubstr;

std::string fresh(const char * name) {
    const std::string path = ::testing::TempDir() + "kvt_run_" + std::to_string(::getpid()) + "_" + name + ".jsonl";
    std::filesystem::remove(path);
    return path;
}

// Answers "answer <item>"; stops with an error after `budget` answers.
class CannedAnswerer final : public Answerer {
public:
    size_t                group  = 1;
    int                   budget = 1000;
    std::set<std::string> failing;
    std::vector<size_t>   asked;  // questions per call

    size_t group_size() const override { return group; }
    Status answer(std::span<const Question> questions, const AnswerOptions &, const Done & done) override {
        asked.push_back(questions.size());
        for (size_t i = 0; i < questions.size(); ++i) {
            if (budget-- == 0) return Error{"the machine went away"};
            Answer a;
            a.text   = "answer " + questions[i].item->id + " " + std::to_string(questions[i].seed);
            a.finish = "eog";
            if (failing.contains(questions[i].item->id)) a.error = "decoding: failed with private words", a.finish = "error";
            KVT_CHECK_OK(done(i, std::move(a)));
        }
        return ok_status();
    }
};

struct Bench {
    FakeRunner  runner{128};
    FakeTask    task{10};
    RunOptions  options;
    TaskPrompts prompts;
    int         opened = 0;

    Bench() {
        options.answers.max_new_tokens = 8;
        prompts                        = *load_items(
                                   task, [&](const TaskItem & item) { return render_prompt(runner, item, ""); }, no_progress());
    }

    Result<TaskRecord> run(const std::string & path, CannedAnswerer & answerer) {
        const OpenAnswerer open = [&]() -> Result<std::unique_ptr<Answerer>> {
            ++opened;
            return std::unique_ptr<Answerer>(std::make_unique<Borrowed>(answerer));
        };
        return run_task(task, prompts, options, run_header(task, prompts, options), path, open, no_progress());
    }

private:
    class Borrowed final : public Answerer {
    public:
        explicit Borrowed(Answerer & to) : to_(to) {}
        size_t group_size() const override { return to_.group_size(); }
        Status answer(std::span<const Question> q, const AnswerOptions & o, const Done & d) override {
            return to_.answer(q, o, d);
        }

    private:
        Answerer & to_;
    };
};

TEST(RunTask, AnswersScoresAndSummarizes) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path   = fresh("plain");
    const auto        record = s.run(path, answerer);
    ASSERT_TRUE(record.ok()) << record.error().message;
    EXPECT_EQ(record->lines.size(), 10u);
    EXPECT_EQ(s.task.scored, 10);
    EXPECT_THAT(*record->lines[3].response, HasSubstr("answer 3"));
    EXPECT_EQ(record->lines[3].seed, sampler_seed("fake", "3", 0, 0));
    EXPECT_EQ(record->summary["n_items"], 10);
    EXPECT_TRUE(record->summary["scores"].contains("exact"));
    EXPECT_EQ(record->summary["groups"].size(), 2u);
    // A complete record needs no model.
    const std::string before = *read_file(path);
    ASSERT_TRUE(s.run(path, answerer).ok());
    EXPECT_EQ(s.opened, 1);
    EXPECT_EQ(*read_file(path), before);
    std::filesystem::remove(path);
}

TEST(RunTask, ABrokenRunGoesOnAndAsksWholeGroups) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path = fresh("broken"), whole = fresh("whole");
    answerer.group  = 4;
    answerer.budget = 6;
    EXPECT_THAT(s.run(path, answerer).error().message, HasSubstr("the machine went away"));
    EXPECT_EQ(read_task_record(path)->lines.size(), 6u);
    answerer.budget = 1000;
    answerer.asked.clear();
    const auto record = s.run(path, answerer);
    ASSERT_TRUE(record.ok()) << record.error().message;
    EXPECT_EQ(answerer.asked, (std::vector<size_t>{4, 2})) << "the first group is known, the second is asked as a whole";
    const auto unbroken = s.run(whole, answerer);
    ASSERT_EQ(record->lines.size(), unbroken->lines.size());
    for (size_t i = 0; i < record->lines.size(); ++i) EXPECT_EQ(write_line(record->lines[i]), write_line(unbroken->lines[i]));
    EXPECT_EQ(record->summary["scores"], unbroken->summary["scores"]);
    std::filesystem::remove(path);
    std::filesystem::remove(whole);
}

TEST(RunTask, ErrorsAreKeptUnlessTheyAreToBeRetried) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path = fresh("errors");
    answerer.failing       = {"2", "5"};
    auto record            = s.run(path, answerer);
    EXPECT_EQ(record->summary["n_error"], 2);
    EXPECT_THAT(record->lines[2].error, HasSubstr("private words"));
    answerer.failing.clear();
    EXPECT_EQ(s.run(path, answerer)->summary["n_error"], 2);
    s.options.retry = RetryErrors::yes;
    answerer.asked.clear();
    record = s.run(path, answerer);
    EXPECT_EQ(answerer.asked, (std::vector<size_t>{2}));
    EXPECT_EQ(record->summary["n_error"], 0);
    EXPECT_EQ(record->lines.size(), 10u);
    std::filesystem::remove(path);
}

TEST(RunTask, StoredAnswersAreScoredOnceTheyCanBe) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path = fresh("unscored");
    s.task.scores          = false;
    EXPECT_EQ(s.run(path, answerer)->summary["n_unscored"], 10);
    EXPECT_EQ(s.run(path, answerer)->summary["n_unscored"], 10);
    s.task.scores     = true;
    const auto record = s.run(path, answerer);
    EXPECT_EQ(record->summary["n_unscored"], 0);
    EXPECT_EQ(record->summary["scores"]["exact"]["n"], 10);
    EXPECT_EQ(s.opened, 1) << "no model is needed for it";
    std::filesystem::remove(path);
}

TEST(RunTask, PrivateTextsAreNeverStored) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path      = fresh("private");
    s.task.header_.private_text = true;
    answerer.failing            = {"1"};
    ASSERT_TRUE(s.run(path, answerer).ok());
    const std::string text = *read_file(path);
    EXPECT_EQ(text.find("answer "), std::string::npos);
    EXPECT_EQ(text.find("Lily"), std::string::npos);
    EXPECT_EQ(text.find("private words"), std::string::npos);
    EXPECT_NE(text.find("decoding"), std::string::npos);
    std::filesystem::remove(path);
}

TEST(RunTask, SamplesHaveSeedsOfTheirOwn) {
    Bench             s;
    CannedAnswerer    answerer;
    const std::string path     = fresh("samples");
    s.options.n_samples        = 3;
    s.options.answers.sampling = {0.6, 0.95, 0};
    const auto record          = s.run(path, answerer);
    ASSERT_EQ(record->lines.size(), 30u);
    std::set<uint32_t> seeds;
    for (const ItemLine & line : record->lines) seeds.insert(line.seed);
    EXPECT_EQ(seeds.size(), 30u);
    EXPECT_EQ(record->summary["scores"]["exact"]["n"], 10);
    std::filesystem::remove(path);
}

TEST(RunTask, LikelihoodsPickTheChoice) {
    Bench s;
    s.task.with_continuations = true;
    s.options.answers.mode    = AnswerMode::likelihood;
    s.prompts                 = *load_items(
                        s.task, [&](const TaskItem & item) { return render_prompt(s.runner, item, ""); }, no_progress());
    const std::string path = fresh("likelihood");
    GeneratorOptions  go;
    go.n_slots = 2, go.n_ctx = 128, go.shared = s.prompts.shared;
    const auto record = run_task(
        s.task, s.prompts, s.options, run_header(s.task, s.prompts, s.options), path,
        [&] { return engine_answerer(s.runner, go); }, no_progress());
    ASSERT_TRUE(record.ok()) << record.error().message;
    for (const ItemLine & line : record->lines) {
        ASSERT_EQ(line.log_probabilities.size(), 3u);
        EXPECT_EQ(line.continuation_tokens, (std::vector<int>{14, 9, 2}));
        const auto best =
            std::max_element(line.log_probabilities.begin(), line.log_probabilities.end()) - line.log_probabilities.begin();
        EXPECT_EQ(line.extracted, std::to_string(best));
        EXPECT_EQ(line.scores[0].second, best == 0 ? 1 : 0);
        EXPECT_NEAR(line.scores[1].second, line.log_probabilities[0] / 14, 1e-12);
    }
    std::filesystem::remove(path);
}

TEST(CheckRun, BadSettingsAreNamed) {
    Bench      s;
    const auto refusal  = [&] { return check_run(s.task, s.prompts, s.options).error().message; };
    s.options.n_samples = 0;
    EXPECT_THAT(refusal(), HasSubstr("samples 0"));
    s.options.n_samples = 2;
    EXPECT_THAT(refusal(), HasSubstr("greedy answers are all alike"));
    s.options.n_samples              = 1;
    s.options.answers.max_new_tokens = 0;
    EXPECT_THAT(refusal(), HasSubstr("new tokens 0"));
    s.options.answers.mode = AnswerMode::likelihood;
    EXPECT_THAT(refusal(), HasSubstr("no reference answer"));
    s.options.answers.sampling.top_p = 2;
    EXPECT_THAT(refusal(), HasSubstr("top-p 2"));
}

}  // namespace
}  // namespace kvt
