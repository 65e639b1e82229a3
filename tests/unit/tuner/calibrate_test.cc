// From moments to a plan with its calibration file beside it.
#include "kvt/tuner/calibrate/calibrate.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plan/calibration.h"
#include "kvt/tuner/calibrate/plan_files.h"
#include "kvt/tuner/pipeline.h"
#include "support/tap_runner.h"

namespace kvt::testing {
namespace {

namespace fs = std::filesystem;

class Calibrate : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "kvt_calibrate_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
        fs::remove_all(folder_);
        ASSERT_TRUE(make_folder(folder_ + "/plans").ok());
        for (int i = 0; i < 60; ++i) stage_.text += "Some line of text, number " + std::to_string(i * i) + ".\n";
        stage_.max_tokens = 512;
        stage_.positions  = 700;  // rounded up to 768, as llama.cpp rounds contexts
        stage_.n_threads  = 1;
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string            path() const { return folder_ + "/all.safetensors"; }
    Result<CalibrationRef> calibrate(TapRunner & runner, Redo redo = Redo::no) {
        return calibrate_stage(runner, stage_, path(), redo, no_progress());
    }
    PrecisionPlan rotated(TapRunner & runner, int k, int v) {
        PrecisionPlan plan = uniform_plan(runner.info(), Mode::rotated, k, v);
        auto          ref  = calibrate(runner);
        EXPECT_TRUE(ref.ok()) << ref.error().message;
        plan.calibration = *ref;
        return plan;
    }

    std::string    folder_;
    CalibrateStage stage_;
};

TEST_F(Calibrate, HoldsEveryTransformOfEveryLayer) {
    TapRunner  runner;
    const auto ref = calibrate(runner);
    ASSERT_TRUE(ref.ok()) << ref.error().message;
    EXPECT_EQ(ref->file, "all.safetensors");
    EXPECT_EQ(ref->folder, folder_);
    EXPECT_EQ(ref->positions, 768);
    const auto tensors = load_calibration(*ref);
    ASSERT_TRUE(tensors.ok()) << tensors.error().message;
    for (int layer = 0; layer < 2; ++layer) {
        const auto usable = [&](Side side, const std::string & name, Rotation rotation) {
            const auto heads = head_transforms(**tensors, layer, side, name, rotation, 1, 32);
            ASSERT_TRUE(heads.ok()) << heads.error().message;
            EXPECT_TRUE(pack_transform(heads->at(0), 32).ok()) << name;
        };
        for (const int bits : kCodeWidths) {
            for (const Rotation rotation : {Rotation::dense, Rotation::hadamard})
                usable(Side::key, key_transform_name(rotation, bits), rotation);
        }
        usable(Side::value, value_transform_name(), Rotation::hadamard);
    }
}

TEST_F(Calibrate, IsNotRepeatedAndNotReplaced) {
    TapRunner first, second;
    ASSERT_TRUE(calibrate(first).ok());
    const std::string before = *read_file(path());
    ASSERT_TRUE(calibrate(second).ok());
    EXPECT_EQ(second.sessions, 0);

    stage_.positions = 800;
    const auto other = calibrate(second);
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().message,
              path() +
                  " was made from other inputs (model, text, tokens or positions): use --fresh to overwrite "
                  "it, or another name");
    EXPECT_EQ(*read_file(path()), before);
    ASSERT_TRUE(calibrate(second, Redo::yes).ok());
    stage_.positions = 700;
    ASSERT_TRUE(calibrate(second, Redo::yes).ok());
    EXPECT_EQ(*read_file(path()), before) << "the same inputs give the same bytes";
}

TEST_F(Calibrate, OtherFilesAreNotOverwritten) {
    ASSERT_TRUE(write_file_atomic(path(), "my letters").ok());
    TapRunner  runner;
    const auto refused = calibrate(runner);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message,
              path() + " exists and is not a calibration file: use --fresh to overwrite it, or another name");
    EXPECT_EQ(*read_file(path()), "my letters");
}

TEST_F(Calibrate, APlanNeverOverwritesItsCalibration) {
    TapRunner           runner;
    const PrecisionPlan plan   = rotated(runner, 4, 3);
    const std::string   before = *read_file(path());
    for (const char * name : {"/all.json", "/all.safetensors", "/all"}) {
        const Status status = write_plan_files(plan, folder_ + name);
        ASSERT_FALSE(status.ok()) << name;
        EXPECT_NE(status.error().message.find("would overwrite the calibration file"), std::string::npos)
            << status.error().message;
        EXPECT_EQ(*read_file(path()), before);
    }
}

TEST_F(Calibrate, ATransformThatIsMissingIsRefusedBeforeAnythingIsWritten) {
    TapRunner     runner;
    PrecisionPlan plan         = rotated(runner, 4, 3);
    plan.layers[0].k_transform = "dense7";
    plan.transforms["dense7"]  = Rotation::dense;
    const Status status        = write_plan_files(plan, folder_ + "/plans/plan.json");
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("blk.0.key.dense7."), std::string::npos) << status.error().message;
    EXPECT_TRUE(fs::is_empty(folder_ + "/plans"));
}

TEST_F(Calibrate, IsForOneModelFile) {
    TapRunner runner;
    ASSERT_TRUE(calibrate(runner).ok());
    EXPECT_TRUE(describe_calibration(path(), runner.info().file_sha256).ok());
    const auto other = describe_calibration(path(), std::string(64, '9'));
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("another model file"), std::string::npos) << other.error().message;
}

TEST_F(Calibrate, PlansTakeWithThemOnlyWhatTheyUse) {
    TapRunner         runner;
    PrecisionPlan     plan = rotated(runner, 4, 3);
    const std::string file = folder_ + "/plans/plan.json";
    plan.layers[1].k_transform.clear();
    const Status status = write_plan_files(plan, file);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto read = read_plan_file(file);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->calibration.file, "plan.safetensors");
    EXPECT_EQ(read->calibration.positions, 768);
    const auto used = load_calibration(read->calibration);
    ASSERT_TRUE(used.ok()) << used.error().message;
    std::vector<std::string> names;
    for (const auto & item : **used) names.push_back(item.first);
    EXPECT_EQ(names, (std::vector<std::string>{"blk.0.key.dense4.center", "blk.0.key.dense4.feedback", "blk.0.key.dense4.matrix",
                                               "blk.0.value.hadamard.center", "blk.0.value.hadamard.scale",
                                               "blk.1.value.hadamard.center", "blk.1.value.hadamard.scale"}));
    EXPECT_EQ(describe_calibration(folder_ + "/plans/plan.safetensors")->positions, 768) << "it is a calibration file itself";
}

TEST_F(Calibrate, PlansWithoutTransformsAreOneFile) {
    TapRunner runner;
    ASSERT_TRUE(write_plan_files(uniform_plan(runner.info(), Mode::kivi, 4, 4), folder_ + "/plans/plan.json").ok());
    EXPECT_FALSE(file_exists(folder_ + "/plans/plan.safetensors"));
    PrecisionPlan lost    = rotated(runner, 4, 4);
    lost.calibration.file = "gone.safetensors";
    EXPECT_FALSE(write_plan_files(lost, folder_ + "/plans/lost.json").ok());
    EXPECT_FALSE(file_exists(folder_ + "/plans/lost.json")) << "a plan never names a file that is not there";
}

}  // namespace
}  // namespace kvt::testing
