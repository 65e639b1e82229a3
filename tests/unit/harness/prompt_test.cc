#include "kvt/harness/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/sha256.h"
#include "support/fake_runner.h"
#include "support/fake_task.h"

namespace kvt {
namespace {

using testing::FakeRunner;
using testing::FakeTask;
using ::testing::HasSubstr;

Render with(const FakeRunner & runner) {
    return [&runner](const TaskItem & item) { return render_prompt(runner, item, ""); };
}

TEST(RenderPrompt, TextStandsAsItIsAndTurnsGoThroughTheTemplate) {
    FakeRunner runner(128);
    TaskItem   item;
    item.text          = "2 + 2 =";
    item.answer_prefix = " The answer is";
    auto prompt        = render_prompt(runner, item, "");
    ASSERT_TRUE(prompt.ok());
    EXPECT_EQ(prompt->text, "2 + 2 = The answer is");
    EXPECT_EQ(prompt->tokens.size(), prompt->text.size());
    EXPECT_EQ(prompt->sha256, sha256_hex(prompt->text));
    EXPECT_FALSE(prompt->control_text);
    item.turns = {
        {Turn::Role::system, "be brief"}, {Turn::Role::user, "a"}, {Turn::Role::assistant, "b"}, {Turn::Role::user, "c"}};
    EXPECT_EQ(render_prompt(runner, item, "")->text, "<system>be brief<user>a<assistant>b<user>c<answer> The answer is");
    runner.form.clear();
    EXPECT_THAT(render_prompt(runner, item, "").error().message, HasSubstr("no chat template"));
    EXPECT_TRUE(render_prompt(runner, item, "chatml").ok());
}

TEST(TurnsPrompt, LeavesTurnsToTheServer) {
    TaskItem item;
    item.text = "plain";
    EXPECT_EQ(turns_prompt(item).text, "plain");
    item.turns = {{Turn::Role::user, "a"}};
    EXPECT_EQ(turns_prompt(item).text, "");
    const std::string one = turns_prompt(item).sha256;
    item.turns[0].role    = Turn::Role::assistant;
    EXPECT_NE(turns_prompt(item).sha256, one);
}

TEST(LoadItems, FindsTheCommonStartAndTheLongestPrompt) {
    FakeRunner runner(128);
    FakeTask   task(4);
    const auto all = load_items(task, with(runner), no_progress());
    ASSERT_TRUE(all.ok());
    EXPECT_EQ(all->items.size(), 4u);
    EXPECT_EQ(all->shared.size(), task.start.size()) << "Lily, Sue, Anna and Mia begin differently";
    EXPECT_EQ(all->longest, static_cast<int>(task.start.size()) + 8);
    FakeTask other(4);
    other.start.back() = '-';
    EXPECT_NE(load_items(other, with(runner), no_progress())->sha256, all->sha256);
    task.start = "Hi ";
    EXPECT_TRUE(load_items(task, with(runner), no_progress())->shared.empty()) << "too short to be worth it";
    task.start.assign(40, 'x');
    task.header_.n_items = 1;
    EXPECT_TRUE(load_items(task, with(runner), no_progress())->shared.empty()) << "one prompt shares nothing";
}

TEST(LoadItems, EveryPromptKeepsATokenOfItsOwn) {
    FakeRunner runner(128);
    class Same final : public Task {
    public:
        TaskHeader         h;
        const TaskHeader & header() const override { return h; }
        Result<TaskItem>   item(int) const override {
            TaskItem item;
            item.text = std::string(30, 'a');
            return item;
        }
        Verdict score(int, std::string_view) const override { return {}; }
    } task;
    task.h.n_items = 3;
    EXPECT_EQ(load_items(task, with(runner), no_progress())->shared.size(), 29u);
    task.h.n_items = 0;
    EXPECT_THAT(load_items(task, with(runner), no_progress()).error().message, HasSubstr("has no items"));
}

}  // namespace
}  // namespace kvt
