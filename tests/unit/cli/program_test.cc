// The real program as a user runs it: exit codes, messages, valid JSON.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/plan/plan.h"
#include "support/plans.h"
#include "support/program.h"

namespace kvt::cli {
namespace {

using nlohmann::json;

using testing::kModel;
using testing::kvtuner;
using testing::Outcome;
using testing::temporary;

TEST(Program, VersionNamesCommitLlamaAndIsa) {
    const Outcome run = kvtuner("--version");
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_THAT(run.out, ::testing::MatchesRegex("kvtuner [0-9.]+ \\([0-9a-z]+\\) llama\\.cpp v[0-9.]+ isa "
                                                 "(scalar|avx2|avxvnni|avx512|neon|neoni8) plugin for llama\\.cpp [0-9., ]+\n"));
    EXPECT_EQ(kvtuner("--version", "KVT_FORCE_ISA=scalar").out.find("isa scalar") != std::string::npos, true);
}

TEST(Program, EveryHelpHasExamples) {
    for (const char * command :
         {"",     "plan",      "plan show", "plan check", "plan make",  "bench",  "doctor", "eval",   "eval kld",    "eval ppl",
          "tune", "calibrate", "profile",   "prune",      "cluster",    "search", "export", "import", "lcb-convert", "serve",
          "run",  "plan list", "plan diff", "plan fit",   "completion", "man"}) {
        const Outcome run = kvtuner(std::string(command) + " --help");
        EXPECT_EQ(run.exit_code, 0) << command;
        EXPECT_NE(run.out.find("Example"), std::string::npos) << command;
        EXPECT_EQ(run.err, "") << command;
    }
}

TEST(Program, WrongUseExitsWithTwoAndPointsToHelp) {
    const struct {
        const char * arguments;
        const char * error;
    } cases[] = {
        {"", "kvtuner: A subcommand is required\nRun \"kvtuner --help\" for the options.\n"},
        {"plam", "kvtuner: \"plam\" is not a subcommand\nRun \"kvtuner --help\" for the options.\n"},
        {"plan shw x", "kvtuner: \"shw\" is not a subcommand\nRun \"kvtuner plan --help\" for the options.\n"},
        {"plan show", "kvtuner: PLAN is required\nRun \"kvtuner plan show --help\" for the options.\n"},
        {"plan show f16 --colour",
         "kvtuner: The following argument was not expected: --colour\nRun \"kvtuner plan show --help\" for the options.\n"},
        {"bench", "kvtuner: --model is required\nRun \"kvtuner bench --help\" for the options.\n"},
    };
    for (const auto & c : cases) {
        const Outcome run = kvtuner(c.arguments);
        EXPECT_EQ(run.exit_code, 2) << c.arguments;
        EXPECT_EQ(run.err, c.error) << c.arguments;
        EXPECT_EQ(run.out, "") << c.arguments;
    }
    for (const char * bad : {"plan show f16 -c 0", "plan show f16 -c x", "plan show f16 --parallel 0", "bench -m x --depth -1",
                             "bench -m x --reps 0"}) {
        EXPECT_EQ(kvtuner(bad).exit_code, 2) << bad;
    }
}

TEST(Program, MakesShowsAndChecksAPlan) {
    const std::string path = temporary("plan.json");
    const Outcome     made = kvtuner("plan make kivi:K4V2 -m " + kModel + " -o '" + path + "'");
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const auto plan = read_plan_file(path);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->provenance.inputs.at(0).sha256, plan->model.file_sha256);

    const Outcome shown = kvtuner("plan show '" + path + "' -c 2048 --parallel 2 --json");
    ASSERT_EQ(shown.exit_code, 0) << shown.err;
    const json figures = json::parse(shown.out);
    EXPECT_EQ(figures["bytes"], plan_size(*plan, 1024, 2).bytes);
    EXPECT_EQ(kvtuner("plan show kivi:K4V2 -c 2048 --parallel 2 --json -m " + kModel).out, shown.out);
    EXPECT_NE(kvtuner("plan show '" + path + "'").out.find("int4.pc32.sealed"), std::string::npos);

    EXPECT_EQ(kvtuner("plan check '" + path + "' -m " + kModel).exit_code, 0);
    EXPECT_EQ(json::parse(kvtuner("plan check '" + path + "' --json -m " + kModel).out)["ok"], true);
    std::filesystem::remove(path);
}

TEST(Program, MakesAPlanWithOtherGroupsAndKeptTokens) {
    const std::string path = temporary("groups.json");
    const auto        make = [&](const std::string & options) {
        return kvtuner("plan make " + options + " -m " + kModel + " -o '" + path + "'");
    };
    ASSERT_EQ(make("kivi:K4V2 --key-group 64 --sink-tokens 4 --residual-tokens 128").exit_code, 0);
    const auto plan = read_plan_file(path);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->mode, Mode::custom);
    EXPECT_EQ(format_name(plan->layers[0].k), "int4.pc64.sealed");
    EXPECT_EQ(format_name(plan->layers[0].v), "int2.pt32.sealed");
    EXPECT_EQ(plan->kept, (Kept{4, 128}));
    ASSERT_EQ(make("kivi:K4V2 --sink-tokens 4").exit_code, 0);
    EXPECT_EQ(read_plan_file(path)->mode, Mode::kivi);
    std::filesystem::remove(path);

    const Outcome refused = make("kivi:K4V2 --key-group 48");
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("48"), std::string::npos) << refused.err;
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Program, RefusesPlansOfOtherModels) {
    const std::string path = temporary("other.json");
    ASSERT_TRUE(write_file_atomic(path, write_plan(testing::example_plan())).ok());
    const Outcome run = kvtuner("plan check '" + path + "' -m " + kModel);
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_TRUE(run.err.starts_with("kvtuner: plan \"" + path + "\": the plan is for another model: ")) << run.err;
    EXPECT_EQ(kvtuner("plan check --force '" + path + "' -m " + kModel).exit_code, 1);  // another shape cannot be forced
    std::filesystem::remove(path);
}

TEST(Program, ErrorsAreOneLineAndLeaveNothingBehind) {
    const struct {
        std::string arguments, error;
    } cases[] = {
        {"plan show /nonexistent.json",
         "kvtuner: there is no plan file \"/nonexistent.json\", and it is not a short form (f16, kivi:K4V2, per-token:K8V4, "
         "rotated:KV4)\n"},
        {"plan show kivi:K4V2", "kvtuner: \"kivi:K4V2\" is a short form and says nothing about a model: give -m MODEL too\n"},
        {"plan make kivi:K4V2 -m " + kModel + " -o /nonexistent/p.json",
         "kvtuner: cannot write \"/nonexistent/p.json\": No such file or directory\n"},
        {"plan make plan.json -m " + kModel + " -o /tmp/never.json",
         "kvtuner: \"plan.json\" is not a short form (examples: f16, kivi:K4V2, per-token:K8V4, rotated:KV4)\n"},
    };
    for (const auto & c : cases) {
        const Outcome run = kvtuner(c.arguments);
        EXPECT_EQ(run.exit_code, 1) << c.arguments;
        EXPECT_EQ(run.err, c.error);
        EXPECT_EQ(run.out, "");
    }
    for (const char * model : {"/nonexistent.gguf", "/dev/null", "/", KVT_TEST_PROGRAM}) {
        const Outcome run = kvtuner("plan show f16 -m " + std::string(model));
        EXPECT_EQ(run.exit_code, 1) << model;
        EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
        EXPECT_NE(run.err.find(model), std::string::npos) << run.err;
    }
}

TEST(Program, ConvertsLiveCodeBenchAndCounts) {
    const std::string out    = temporary("lcb.jsonl");
    const std::string sample = std::string("'") + KVT_TEST_ROOT + "/data/livecodebench/sample.jsonl' ";
    const Outcome     run    = kvtuner("lcb-convert " + sample + "--window 2026-01..2026-02 -o '" + out + "'");
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.out.find("difficulty easy              2"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("test type functional         1      3"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("3 problems."), std::string::npos) << run.out;
    const json counts = json::parse(kvtuner("lcb-convert " + sample + "--json -o '" + out + "'").out);
    EXPECT_EQ(counts["kept"], 3);
    EXPECT_EQ(counts["platform"]["leetcode"], 1);
    std::filesystem::remove(out);

    const Outcome empty = kvtuner("lcb-convert " + sample + "--window v5 -o '" + out + "'");
    EXPECT_EQ(empty.exit_code, 1);
    EXPECT_TRUE(empty.err.ends_with("\nkvtuner: none of 3 problems lies in the window v5\n")) << empty.err;
    EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Program, AFullDiskIsAnError) {
    if (!file_exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
    const Outcome run = kvtuner("plan show f16 -m " + kModel + " >/dev/full");
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(run.err, "kvtuner: cannot write the output: No space left on device\n");
    for (const char * arguments : {"plan show f16 -m ", "plan show nonsense -m "})  // nowhere to complain either
        EXPECT_EQ(kvtuner(arguments + kModel, R"(sh -c '"$0" "$@" >/dev/full 2>/dev/full')").exit_code, 1) << arguments;
}

TEST(Program, DoctorReportsAndItsExitCodeIsTheVerdict) {
    const Outcome fine   = kvtuner("doctor --json");
    const json    report = json::parse(fine.out);
    EXPECT_EQ(fine.exit_code, report["ok"] ? 0 : 1);
    for (const auto & check : report["checks"]) {
        const bool here = check["name"] == "plugin" || check["name"] == "kernel self-test";  // the others depend on the machine
        EXPECT_TRUE(!here || check["ok"] == true) << check;
    }
    const Outcome forced = kvtuner("doctor", "KVT_FORCE_ISA=garbage KVT_PLAN=kivi:nonsense");
    EXPECT_EQ(forced.exit_code, 1);
    EXPECT_NE(forced.out.find("PROBLEM  KVT_FORCE_ISA"), std::string::npos) << forced.out;
    EXPECT_NE(forced.out.find("PROBLEM  KVT_PLAN"), std::string::npos);
    EXPECT_NE(kvtuner("doctor", "KVT_PLUGIN=/nonexistent.so").out.find("PROBLEM  plugin"), std::string::npos);
}

TEST(Program, BenchReportsEveryPlanAtEveryDepth) {
    const std::string file = temporary("bench.json");
    const Outcome     run  = kvtuner("bench -m " + kModel +
                                     " --plan kivi:KV4 --plan per-token:KV8 --depth 0,64 --reps 1 -t 1 --json -o '" + file + "'");
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.out, *read_file(file));
    const json rows = json::parse(run.out)["rows"];
    ASSERT_EQ(rows.size(), 6u);
    EXPECT_EQ(rows[0]["plan"], "f16 (stock)");
    EXPECT_EQ(rows[5]["depth"], 64);
    EXPECT_LT(rows[1]["kv_bytes"], rows[0]["kv_bytes"]);
    for (const auto & row : rows) EXPECT_GT(row["generation"]["median"], 0.0);
}

TEST(Program, CtrlCEndsABenchWith130) {
    const Outcome run =
        kvtuner("bench -m " + kModel + " --plan kivi:KV4 --depth 4096 --reps 1000 -t 1", "timeout --preserve-status -s INT 2");
    EXPECT_EQ(run.exit_code, 130);
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err.find("kvtuner: interrupted"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace kvt::cli
