// The order of work and the arithmetic, on a model whose speed is a made-up clock.
#include "kvt/cli/bench_run.h"

#include <gtest/gtest.h>

#include "support/fake_runner.h"
#include "support/plans.h"

namespace kvt::cli {
namespace {

// Every call of the clock is one second later, so 32 tokens take 1 s and 512 take 1 s.
std::function<double()> ticking() {
    return [t = 0.0]() mutable { return t += 1; };
}

class CountingProgress final : public Progress {
public:
    int64_t                  total = 0, steps = 0;
    std::vector<std::string> notes;
    void                     begin(std::string_view, int64_t n) override { total = n; }
    void                     done(int64_t n) override { steps += n; }
    void                     note(std::string_view text) override { notes.emplace_back(text); }
    void                     end() override {}
};

TEST(Summarize, MedianExtremesAndPairedRatio) {
    const Speed speed = summarize({10, 30, 20}, {10, 10, 40});
    EXPECT_DOUBLE_EQ(speed.median, 20);
    EXPECT_DOUBLE_EQ(speed.min, 10);
    EXPECT_DOUBLE_EQ(speed.max, 30);
    EXPECT_DOUBLE_EQ(speed.ratio, 1.0);  // of 1, 3, 0.5
}

TEST(RunBench, RowsByDepthThenSubjectInterleaved) {
    testing::FakeRunner             runner;
    const std::vector<BenchSubject> subjects{{"f16", std::nullopt}, {"plan", testing::example_plan()}};
    CountingProgress                progress;
    const auto                      rows = run_bench(runner, subjects, {{0, 100}, 1, 2}, progress, ticking());
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    ASSERT_EQ(rows->size(), 4u);
    EXPECT_EQ((*rows)[1].label, "plan");
    EXPECT_EQ((*rows)[1].depth, 0);
    EXPECT_EQ((*rows)[2].depth, 100);
    EXPECT_DOUBLE_EQ((*rows)[0].generation.median, kBenchGenerateTokens);
    EXPECT_DOUBLE_EQ((*rows)[0].prefill.median, kBenchPrefillTokens);
    EXPECT_EQ(runner.sessions_opened, 2);
    EXPECT_EQ(progress.total, 12);
    EXPECT_EQ(progress.steps, 12);
    const std::vector<std::string> first(progress.notes.begin(), progress.notes.begin() + 4);
    EXPECT_EQ(first, (std::vector<std::string>{"depth 0, f16", "depth 0, plan", "depth 0, f16", "depth 0, plan"}));
    EXPECT_LE(runner.longest_call, 512);
}

TEST(RunBench, FillsTheCacheOnceWhereTheModelCanRewind) {
    const std::vector<BenchSubject> subjects{{"f16", std::nullopt}, {"plan", testing::example_plan()}};
    constexpr int64_t kTimed = kBenchGenerateTokens + kBenchPrefillTokens, kRuns = 2 * 2 * 3;  // subjects, depths, repetitions
    const auto        decoded = [&](bool rewinds) {
        testing::FakeRunner runner;
        runner.refuse_rewind = !rewinds;
        const auto rows      = run_bench(runner, subjects, {{0, 600}, 1, 2}, no_progress(), ticking());
        EXPECT_TRUE(rows.ok() && rows->size() == 4);
        return runner.tokens_decoded;
    };
    EXPECT_EQ(decoded(false), kRuns * kTimed + 2 * 3 * 600);
    EXPECT_EQ(decoded(true), kRuns * kTimed + 2 * (600 - 512));  // 512 stand there from depth 0
}

TEST(RunBench, NamesTheSubjectThatCannotRun) {
    testing::FakeRunner runner;
    runner.refuse_plans = true;
    const auto rows = run_bench(runner, {{"f16", std::nullopt}, {"mine", testing::example_plan()}}, {}, no_progress(), ticking());
    ASSERT_FALSE(rows.ok());
    EXPECT_EQ(rows.error().message, "mine: plans are refused");
}

}  // namespace
}  // namespace kvt::cli
