// Whole runs of a small task on the tiny model: plans side by side, a run that was killed, the text for people.
#include "kvt/cli/eval_lanes.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/task_text.h"
#include "support/fake_task.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::AllOf;
using testing::FakeTask;
using ::testing::HasSubstr;
using testing::tiny_model;

// Folder of the records of a run that a test lets be killed.
constexpr const char * kFolderVariable = "KVT_TEST_KILLED_RUN";

struct SmallRun {
    FakeTask         task{40, 24};
    cli::LaneOptions options;
    TaskPrompts      prompts;

    explicit SmallRun(const std::string & folder) {
        options.out                        = folder;
        options.n_slots                    = 4;
        options.n_threads                  = 1;
        options.run.answers.max_new_tokens = task.header_.max_new_tokens;
        options.run.answers.stops          = task.header_.stops;
        options.plans.push_back({"kivi:KV4", uniform_plan(tiny_model().info(), Mode::kivi, 4, 4)});
        options.plans.push_back({"f16", uniform_plan(tiny_model().info(), Mode::custom, 16, 16)});
        prompts = *load_items(
            task, [](const TaskItem & item) { return render_prompt(tiny_model(), item, ""); }, no_progress());
    }

    std::vector<TaskRecord> go() {
        auto records = cli::run_lanes(task, prompts, &tiny_model(), options, no_progress());
        EXPECT_TRUE(records.ok()) << records.error().message;
        return records.ok() ? std::move(*records) : std::vector<TaskRecord>{};
    }
};

std::string folder(const char * name) {
    const std::string path = ::testing::TempDir() + "kvt_lanes_" + std::to_string(::getpid()) + "_" + name;
    std::filesystem::remove_all(path);
    return path;
}

// All but the times.
std::string untimed(ItemLine line) {
    line.prefill_seconds = line.decode_seconds = 0;
    return write_line(line);
}

TEST(Lanes, ReferenceAndPlansAreComparedOnTheSameItems) {
    const std::string out = folder("plans");
    SmallRun          run(out);
    const auto        records = run.go();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_THAT(records[0].path, HasSubstr("fake-text-f16-stock.jsonl"));
    EXPECT_THAT(records[1].path, HasSubstr("fake-text-kivi-KV4.jsonl"));
    EXPECT_FALSE(run.prompts.shared.empty());
    EXPECT_EQ(records[0].header["plan"]["stock"], true);
    EXPECT_NEAR(records[1].header["plan"]["effective_bits"].get<double>(), 5.25, 0.01);
    EXPECT_EQ(records[0].header["prompts_sha256"], records[1].header["prompts_sha256"]);
    for (const ItemLine & line : records[0].lines) {
        EXPECT_EQ(line.error, "");
        EXPECT_GT(line.prompt_tokens, 10);
        EXPECT_FALSE(line.response->empty());
    }
    const auto with_plugin = compare_records(records[0], records[2]);
    ASSERT_TRUE(with_plugin.ok());
    EXPECT_GE(with_plugin->n_same_text, 38) << "an f16 cache through the plugin differs in near ties at most";
    const auto compared = compare_records(records[0], records[1]);
    ASSERT_TRUE(compared.ok()) << compared.error().message;
    EXPECT_LT(compared->n_same_text, 40);
    EXPECT_FALSE(compared->flips.empty());
    const std::string text = cli::runs_text(records) + cli::comparison_text(*compared, 0.01);
    EXPECT_THAT(text, AllOf(HasSubstr("f16 (stock)"), HasSubstr("exact %"), HasSubstr("McNemar exact P ="),
                            HasSubstr("not shown to be equivalent within 1.00 points"), HasSubstr("changed their verdict")));
    EXPECT_THAT(cli::comparison_text(*compared, 1.0), HasSubstr("equivalent within 100.00 points at 95 %"));
    // The records of another seed are other records.
    run.options.run.seed = 7;
    EXPECT_THAT(cli::run_lanes(run.task, run.prompts, &tiny_model(), run.options, no_progress()).error().message,
                HasSubstr("\"seed\" was 0 and is 7"));
    std::filesystem::remove_all(out);
}

TEST(Lanes, AKilledRunGoesOnToTheSameRecord) {
    if (const char * out = std::getenv(kFolderVariable); out != nullptr) {  // this is the process that gets killed
        SmallRun(out).go();
        return;
    }
    const std::string whole = folder("whole"), killed = folder("killed");
    const auto        expected = SmallRun(whole).go();
    // The same run in a process of its own, killed as soon as the second record holds a few answers.
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv(kFolderVariable, killed.c_str(), 1);
        ::execl("/proc/self/exe", "run", "--gtest_filter=Lanes.AKilledRunGoesOnToTheSameRecord", nullptr);
        ::_exit(121);
    }
    const std::string second = killed + "/fake-text-kivi-KV4.jsonl";
    for (int i = 0; i < 30000; ++i) {
        const auto text = read_file(second);
        if (text.ok() && std::count(text->begin(), text->end(), '\n') > 9) break;
        if (::waitpid(child, nullptr, WNOHANG) != 0) break;
        ::usleep(1000);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const size_t answered = read_task_record(second)->lines.size();
    ASSERT_GT(answered, 5u);
    EXPECT_TRUE(read_task_record(second)->summary.is_null()) << "killed too late to show anything";
    std::ofstream(second, std::ios::app) << R"({"item":"3)";  // as a kill in the middle of a write leaves it

    const auto records = SmallRun(killed).go();
    ASSERT_EQ(records.size(), expected.size());
    for (size_t r = 0; r < records.size(); ++r) {
        ASSERT_EQ(records[r].lines.size(), expected[r].lines.size());
        for (size_t i = 0; i < records[r].lines.size(); ++i)
            EXPECT_EQ(untimed(records[r].lines[i]), untimed(expected[r].lines[i]));
        EXPECT_EQ(records[r].summary["scores"], expected[r].summary["scores"]);
    }
    std::filesystem::remove_all(whole);
    std::filesystem::remove_all(killed);
}

TEST(Lanes, LikelihoodsNeedFewerItemsAndNoGeneration) {
    const std::string out = folder("likelihood");
    SmallRun          run(out);
    run.task.with_continuations  = true;
    run.task.header_.n_items     = 10;
    run.options.run.answers.mode = AnswerMode::likelihood;
    run.prompts                  = *load_items(
                         run.task, [](const TaskItem & item) { return render_prompt(tiny_model(), item, ""); }, no_progress());
    const auto records = run.go();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[0].summary["scores"]["accuracy"]["mean"], 1.0) << "the story is likelier than nonsense";
    const auto nats = [&](size_t r) { return records[r].summary["scores"]["log_likelihood_per_token"]["mean"].get<double>(); };
    EXPECT_LT(nats(0), 0);
    EXPECT_NE(nats(0), nats(1));
    EXPECT_NEAR(nats(0), nats(2), 1e-3);
    EXPECT_THAT(cli::comparison_text(*compare_records(records[0], records[1]), 0.01), HasSubstr("nats"));
    std::filesystem::remove_all(out);
}

TEST(Lanes, AContextThatHoldsNoItemIsAnInputError) {
    const std::string out = folder("context");
    SmallRun          run(out);
    run.options.n_ctx = 30;
    EXPECT_THAT(cli::run_lanes(run.task, run.prompts, &tiny_model(), run.options, no_progress()).error().message,
                HasSubstr("no item fits: the shortest prompt has"));
    run.options.n_ctx                      = 0;
    run.options.run.answers.max_new_tokens = 1000;
    EXPECT_THAT(cli::run_lanes(run.task, run.prompts, &tiny_model(), run.options, no_progress()).error().message,
                HasSubstr("answers may have 1000, and the context has 512"));
    std::filesystem::remove_all(out);
}

TEST(RecordName, IsAFileNameOfItsOwn) {
    TaskHeader h;
    h.name = "gsm8k", h.variant = "text";
    EXPECT_EQ(cli::record_name(h, "kivi:K4V2", ""), "gsm8k-text-kivi-K4V2.jsonl");
    EXPECT_EQ(cli::record_name(h, "../out/plan.json", "0123456789abcdef"), "gsm8k-text-..-out-plan.json-01234567.jsonl");
    h.variant.clear();
    EXPECT_EQ(cli::record_name(h, "f16 (stock)", ""), "gsm8k-f16-stock.jsonl");
}

}  // namespace
}  // namespace kvt
