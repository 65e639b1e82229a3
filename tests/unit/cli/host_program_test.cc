#include "kvt/cli/host_program.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plugin_api/llama_versions.h"
#include "support/plans.h"
#include "support/program.h"

namespace kvt::cli {
namespace {

namespace fs = std::filesystem;
using testing::data_home;
using ::testing::HasSubstr;
using testing::kModel;
using testing::kvtuner;
using testing::Outcome;

// Stands for llama-server: says its version, else what it was started with, and ends with 7.
class HostProgram : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::path(::testing::TempDir()) / ("kvt_host_" + std::to_string(::getpid()));
        fs::create_directories(folder_);
    }
    void TearDown() override {
        fs::remove_all(folder_);
        fs::remove_all(data_home());
    }
    std::string fake(const std::string & name, const std::string & version = "version: 0.5.0-dev (build 1, commit fake)") const {
        const std::string path = (folder_ / name).string();
        EXPECT_TRUE(write_file_atomic(path, "#!/bin/sh\n[ \"$1\" = --version ] && { echo '" + version +
                                                "' >&2; exit 0; }\necho \"$KVT_PLAN|$GGML_BACKEND_PATH|$0 $*\"\nexit 7\n")
                        .ok());
        fs::permissions(path, fs::perms(0755));
        return path;
    }

    const std::string model_ = kModel.substr(1, kModel.size() - 2);  // without its quotes
    fs::path          folder_;
};

TEST_F(HostProgram, DryRunPrintsTheCommandAndRunsNothing) {
    const std::string server = fake("llama-server");
    const Outcome     run =
        kvtuner("serve -m " + kModel + " --plan kivi:K8V4 --bin '" + folder_.string() + "' --dry-run -- -c 4096 --jinja");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.out, "GGML_BACKEND_PATH=" KVT_TEST_PLUGIN " KVT_PLAN=kivi:K8V4 " + server + " -m " + model_ +
                           " --device KVT0 --host 127.0.0.1 -c 4096 --jinja\n");
    EXPECT_TRUE(run.err.starts_with("plan: kivi:K8V4 as given (")) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1);

    const std::string chat = fake("llama-completion");
    const Outcome     run2 = kvtuner("run -m " + kModel + " --plan per-token:KV8 --bin '" + folder_.string() + "' --dry-run");
    EXPECT_EQ(run2.out, "GGML_BACKEND_PATH=" KVT_TEST_PLUGIN " KVT_PLAN=per-token:KV8:hd64 " + chat + " -m " + model_ +
                            " --device KVT0 -cnv\n");
}

TEST_F(HostProgram, TakesThePlaceOfKvtunerWithItsExitCode) {
    const std::string server = fake("my server");
    const Outcome     run =
        kvtuner("serve -m " + kModel + " --plan f16 --llama-server '" + server + "' -- --host 0.0.0.0 'two words'");
    EXPECT_EQ(run.exit_code, 7);
    EXPECT_EQ(run.out, "f16|" KVT_TEST_PLUGIN "|" + server + " -m " + model_ + " --device KVT0 --host 0.0.0.0 two words\n");
}

TEST_F(HostProgram, WithoutAPlanTheLibrarysElseTheDefault) {
    const std::string arguments = "serve -m " + kModel + " --bin '" + fake("llama-server") + "' --dry-run";
    const Outcome     none      = kvtuner(arguments);
    EXPECT_THAT(none.out, HasSubstr("KVT_PLAN=per-token:KV8:hd64 "));
    EXPECT_THAT(none.err,
                HasSubstr("per-token:KV8, the default without calibration (8.5 bits); kvtuner tune finds a smaller one"));

    const fs::path presets = folder_ / "presets";
    fs::create_directories(presets);
    std::string recipe;
    for (int i = 0; i < 5; ++i) recipe += std::to_string(i) + ": {nbits_key: 8, nbits_value: 4}\n";
    ASSERT_TRUE(write_file_atomic(presets / "stories260K_kivi_KVTuner6_0.yaml", recipe).ok());
    const std::string copy      = "KVT_PRESETS='" + presets.string() + "'";
    const Outcome     published = kvtuner(arguments, copy);
    EXPECT_THAT(published.out, HasSubstr("\"method\": \"preset:stories260K_kivi_KVTuner6_0\""));
    EXPECT_THAT(published.err, HasSubstr("plan: the preset stories260K_kivi_KVTuner6_0, published for this model ("));

    const std::string path = folder_ / "plan.json";
    ASSERT_EQ(kvtuner("plan make kivi:K4V2 -m " + kModel + " -o '" + path + "'").exit_code, 0);
    const auto plan = read_plan_file(path);
    ASSERT_TRUE(plan.ok());
    const fs::path place = fs::path(data_home()) / "kvtuner/plans" / plan->model.file_sha256.substr(0, 16) / "mine.json";
    fs::create_directories(place.parent_path());
    fs::copy_file(path, place);
    const Outcome found = kvtuner(arguments, copy);
    EXPECT_THAT(found.out, HasSubstr("KVT_PLAN=" + place.string() + " "));
    EXPECT_THAT(found.err, HasSubstr("plan: " + place.string() + ", tuned for this model ("));
    EXPECT_THAT(kvtuner("plan list").out, HasSubstr(place.string()));
}

TEST_F(HostProgram, ADraftModelHasAPlanOfItsOwn) {
    const std::string hd32  = std::string(KVT_TEST_ROOT) + "/data/stories260K/stories260K-hd32-f32.gguf";
    const std::string start = "serve -m " + kModel + " --bin '" + fake("llama-server") + "' --dry-run ";
    const std::string draft = " -- --spec-draft-model '" + hd32 + "'";
    const std::string path  = (folder_ / "draft.json").string();
    ASSERT_EQ(kvtuner("plan make kivi:K4V2 -m '" + hd32 + "' -o '" + path + "'").exit_code, 0);
    const Outcome both = kvtuner(start + "--plan kivi:KV8 --draft-plan '" + path + "'" + draft);
    EXPECT_THAT(both.out, HasSubstr("KVT_PLAN='" + path + ";kivi:KV8' ")) << both.err;
    EXPECT_THAT(both.err, HasSubstr("kivi:KV8 as given (9.25 bits); draft model: " + path + " as given ("));
    EXPECT_THAT(kvtuner(start + "--plan kivi:KV8 --draft-plan kivi:KV8" + draft).out, HasSubstr("KVT_PLAN=kivi:KV8 "));
    EXPECT_THAT(kvtuner(start + "--plan kivi:KV8 --draft-plan kivi:KV4" + draft).err,
                HasSubstr("cannot be told apart by the model"));
    EXPECT_THAT(kvtuner(start + "--draft-plan kivi:KV4").err, HasSubstr("--draft-plan is for a draft model on this device"));
    EXPECT_THAT(kvtuner(start + "--plan kivi:KV8" + draft + " -devd none").out, HasSubstr("KVT_PLAN=kivi:KV8 "));
}

TEST_F(HostProgram, SaysWhatIsWrong) {
    const auto errors = [&](const std::string & rest) {
        const Outcome run = kvtuner("serve -m " + rest);
        EXPECT_EQ(run.exit_code, 1) << rest;
        EXPECT_EQ(run.out, "") << rest;
        EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
        return run.err;
    };
    EXPECT_THAT(
        errors(kModel + " --bin '" + fake("old", "version: 0.4.9 (build 1)") + "'"),
        HasSubstr("old is llama.cpp 0.4.9, and the plugin serves llama.cpp 10069, 10335, 0.2.0, 0.4.0, 0.5.0: use one of these"));
    EXPECT_THAT(errors(kModel + " --bin '" + fake("mute", "hello") + "'"), HasSubstr("mute does not say its version"));
    EXPECT_THAT(errors(kModel + " --bin /nowhere"), HasSubstr("/nowhere is neither a folder nor a program"));
    fs::create_directories(folder_ / "empty");
    EXPECT_THAT(errors(kModel + " --bin '" + (folder_ / "empty").string() + "'"),
                HasSubstr("no llama.cpp program at " + (folder_ / "empty").string()));
    EXPECT_THAT(errors("/nowhere.gguf --bin '" + fake("llama-server") + "'"), HasSubstr("/nowhere.gguf"));
    EXPECT_THAT(errors(kModel + " --plan nowhere.json --bin '" + fake("llama-server") + "'"), HasSubstr("there is no plan file"));
    EXPECT_THAT(errors(kModel + " --plan rotated:KV4 --bin '" + fake("llama-server") + "'"),
                HasSubstr("needs transforms that are calibrated"));
    EXPECT_THAT(errors(kModel + " --bin '" + fake("llama-server") + "' -- --device CPU"), HasSubstr("leave --device out"));
}

TEST(HostVersion, IsReadFromWhatProgramsPrint) {
    EXPECT_EQ(version_in("version: 0.5.0-dev (build 0, commit unknown)\nbuilt with GNU\n"), "0.5.0");
    EXPECT_EQ(version_in("loading\nversion: 1.12 (x)\n"), "1.12");
    EXPECT_EQ(version_in("version: 6123 (abc)"), "6123");
    EXPECT_EQ(version_in("my version: 0.5.0"), "");
    EXPECT_EQ(version_in(""), "");
}

TEST(HostVersion, OfGgmlIsServedIfThePluginWasRunInItOrCompiledForIt) {
    EXPECT_TRUE(serves_ggml("0.25.3-dev", "0.25"));
    EXPECT_TRUE(serves_ggml("0.19.0", "0.25"));
    EXPECT_TRUE(serves_ggml("0.26.1", "0.26"));
    EXPECT_FALSE(serves_ggml("0.26.1", "0.25"));
    EXPECT_FALSE(serves_ggml("0.2.5", "0.25"));
    EXPECT_FALSE(serves_ggml("", "0.25"));
}

TEST(DefaultPlan, NeedsNoCalibration) {
    EXPECT_EQ(default_plan(testing::example_model()), "per-token:KV8");
    ModelInfo uneven  = testing::example_model();
    uneven.head_dim_v = 128;
    EXPECT_EQ(default_plan(uneven), "kivi:KV8");
}

}  // namespace
}  // namespace kvt::cli
