#include "kvt/tuner/task_objective.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kvt/tuner/records.h"
#include "support/fake_runner.h"
#include "support/fake_task.h"

namespace kvt::testing {
namespace {

class TaskObjectiveTest : public ::testing::Test {
protected:
    Result<ObjectiveSource> source(TaskScore score) {
        task_->with_continuations = true;
        auto prompts              = load_items(
                         *task_, [&](const TaskItem & item) { return render_prompt(runner_, item, ""); }, no_progress());
        EXPECT_TRUE(prompts.ok());
        TaskScoring scoring;
        scoring.score = score;
        return task_objective(task_, std::make_shared<const TaskPrompts>(std::move(*prompts)), scoring);
    }
    OpenObjective opened(TaskScore score) {
        const auto made = source(score);
        EXPECT_TRUE(made.ok()) << made.error().message;
        auto open = made->open(runner_, no_progress());
        EXPECT_TRUE(open.ok()) << open.error().message;
        return std::move(*open);
    }
    PrecisionPlan plan(int bits) { return uniform_plan(runner_.info(), Mode::per_token_asym, bits, bits); }

    FakeRunner                runner_{90, 0.05};
    std::shared_ptr<FakeTask> task_ = std::make_shared<FakeTask>();
};

TEST_F(TaskObjectiveTest, NothingIsLostAtSixteenBits) {
    for (const TaskScore score : {TaskScore::accuracy, TaskScore::loglik}) {
        const OpenObjective open  = opened(score);
        const auto          found = open.objective->score(plan(16));
        ASSERT_TRUE(found.ok()) << found.error().message;
        EXPECT_EQ(open.n_parts, 12);
        EXPECT_EQ(found->kld, 0.0) << task_score_name(score);
        EXPECT_EQ(found->clipped, std::vector<double>(12, 0.0));
    }
}

TEST_F(TaskObjectiveTest, LogLikelihoodIsThatOfTheReferenceAnswer) {
    const OpenObjective open  = opened(TaskScore::loglik);
    const auto          found = open.objective->score(plan(4));
    ASSERT_TRUE(found.ok()) << found.error().message;
    // Item 0, worked out without the harness: its right answer is the first continuation.
    const auto item     = task_->item(0);
    const auto prompt   = render_prompt(runner_, *item, "");
    const auto log_prob = [&](double wave) {
        std::vector<Token> history = prompt->tokens;
        const auto         answer  = *runner_.tokenize(item->continuations[0], AddSpecial::parse);
        double             sum     = 0;
        for (const Token t : answer) {
            const auto row   = FakeRunner::logits(history, 90, wave);
            double     total = 0;
            for (const float x : row) total += std::exp(static_cast<double>(x));
            sum += static_cast<double>(row[static_cast<size_t>(t)]) - std::log(total);
            history.push_back(t);
        }
        return sum / static_cast<double>(answer.size());
    };
    EXPECT_NEAR(found->clipped[0], log_prob(0) - log_prob(runner_.wave(plan(4))), 1e-5);
    double sum = 0;
    for (const double loss : found->clipped) sum += loss / 12;
    EXPECT_NEAR(found->kld, sum, 1e-12);
    EXPECT_LE(found->ci_low, found->kld);
    EXPECT_GE(found->ci_high, found->kld);
}

TEST_F(TaskObjectiveTest, AccuracyIsTheShareOfItemsLost) {
    const OpenObjective open  = opened(TaskScore::accuracy);
    const auto          found = open.objective->score(plan(2));
    ASSERT_TRUE(found.ok()) << found.error().message;
    double sum = 0;
    for (const double loss : found->clipped) {
        EXPECT_TRUE(loss == -1 || loss == 0 || loss == 1) << loss;
        sum += loss;
    }
    EXPECT_NEAR(found->kld, sum / 12, 1e-12);
    const auto again = open.objective->score(plan(2));
    EXPECT_EQ(again->clipped, found->clipped);
}

TEST_F(TaskObjectiveTest, SourceSaysWhatScoresDependOn) {
    const auto accuracy = source(TaskScore::accuracy), loglik = source(TaskScore::loglik);
    ASSERT_TRUE(accuracy.ok() && loglik.ok());
    EXPECT_EQ(accuracy->name, "fake accuracy");
    EXPECT_EQ(loglik->name, "fake loglik");
    EXPECT_EQ(accuracy->chunk_tokens, 0);
    EXPECT_EQ(accuracy->data_sha256.size(), 64u);
    EXPECT_EQ(runner_.sessions_opened, 0) << "nothing is run before it is opened";
    task_->header_.max_new_tokens += 1;
    EXPECT_NE(source(TaskScore::accuracy)->settings, accuracy->settings);
}

TEST_F(TaskObjectiveTest, RefusesWhatCannotTellPlansApart) {
    task_->scores   = false;  // no answer is ever right
    const auto made = source(TaskScore::accuracy);
    ASSERT_TRUE(made.ok());
    const auto none = made->open(runner_, no_progress());
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("the f16 cache gets none of 12 items of fake right"), std::string::npos)
        << none.error().message;
    task_->with_continuations = false;
    const auto prompts        = load_items(
               *task_, [&](const TaskItem & item) { return render_prompt(runner_, item, ""); }, no_progress());
    const auto nothing = task_objective(task_, std::make_shared<const TaskPrompts>(*prompts), {TaskScore::loglik, 4, 512, 0});
    ASSERT_FALSE(nothing.ok());
    EXPECT_NE(nothing.error().message.find("no reference answer"), std::string::npos) << nothing.error().message;
}

}  // namespace
}  // namespace kvt::testing
