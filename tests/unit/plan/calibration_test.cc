#include "kvt/plan/calibration.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"

namespace kvt {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two heads of three channels, with numbers that f16 holds.
std::vector<HeadTransform> example_heads() {
    HeadTransform t;
    t.rotation = Rotation::dense;
    t.center   = {1, 2, 3};
    t.matrix   = {0, 1, 0, 1, 0, 0, 0, 0, 0.5f};
    t.feedback.assign(3 * 16, 0.0f);
    t.feedback[16] = 0.25f, t.feedback[32] = -1, t.feedback[33] = 2;
    std::vector<HeadTransform> heads{t, t};
    heads[1].center   = {-1, 0.1f, 0};
    heads[1].matrix   = {2, 0, 0, 0, 2, 0, 0, 0, 2};
    heads[1].feedback = std::vector<float>(3 * 16, 0.0f);
    return heads;
}

Tensors example_tensors() {
    Tensors tensors;
    put_head_transforms(7, Side::key, "dense4", example_heads(), 3, tensors);
    return tensors;
}

TEST(HeadTransforms, NamesAreThoseOfTheHeader) {
    EXPECT_EQ(transform_prefix(3, Side::key, "dense4"), "blk.3.key.dense4.");
    EXPECT_EQ(transform_prefix(0, Side::value, "hadamard"), "blk.0.value.hadamard.");
    const Tensors tensors = example_tensors();
    ASSERT_EQ(tensors.size(), 3u) << "a scale that no head has is not written";
    EXPECT_EQ(tensors.at("blk.7.key.dense4.center").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(tensors.at("blk.7.key.dense4.matrix").shape, (std::vector<int64_t>{2, 3, 3}));
    EXPECT_EQ(tensors.at("blk.7.key.dense4.matrix").dtype, Dtype::f16);
    EXPECT_EQ(tensors.at("blk.7.key.dense4.feedback").values, (std::vector<float>{0.25f, -1, 2, 0, 0, 0}));
}

TEST(HeadTransforms, RoundTripThroughAFile) {
    const auto file = parse_safetensors(write_safetensors({example_tensors(), {}}));
    ASSERT_TRUE(file.ok()) << file.error().message;
    const auto heads = head_transforms(file->tensors, 7, Side::key, "dense4", Rotation::dense, 2, 3);
    ASSERT_TRUE(heads.ok()) << heads.error().message;
    const auto expected = example_heads();
    for (size_t h = 0; h < 2; ++h) {
        EXPECT_EQ((*heads)[h].rotation, Rotation::dense);
        EXPECT_EQ((*heads)[h].center, expected[h].center);
        EXPECT_EQ((*heads)[h].scale, expected[h].scale);
        EXPECT_EQ((*heads)[h].matrix, expected[h].matrix);
        EXPECT_EQ((*heads)[h].feedback, expected[h].feedback);
        EXPECT_TRUE(pack_transform((*heads)[h], 3).ok());
    }
}

TEST(HeadTransforms, OnlyCentersAndTheMatricesOfDenseRotationsAreNeeded) {
    Tensors tensors = example_tensors();
    tensors.erase("blk.7.key.dense4.feedback");
    const auto bare = head_transforms(tensors, 7, Side::key, "dense4", Rotation::dense, 2, 3);
    ASSERT_TRUE(bare.ok()) << bare.error().message;
    EXPECT_TRUE((*bare)[1].feedback.empty());
    tensors.erase("blk.7.key.dense4.matrix");
    EXPECT_TRUE(head_transforms(tensors, 7, Side::key, "dense4", Rotation::hadamard, 2, 3).ok());
    EXPECT_EQ(head_transforms(tensors, 7, Side::key, "dense4", Rotation::dense, 2, 3).error().message,
              "the calibration has no tensor blk.7.key.dense4.matrix: it was made for another plan");
}

TEST(HeadTransforms, RefuseOtherNamesAndShapes) {
    const Tensors tensors = example_tensors();
    const struct {
        int          layer;
        Side         side;
        const char * name;
        int          n_heads, head_dim;
        const char * message;
    } cases[] = {
        {6, Side::key, "dense4", 2, 3, "the calibration has no tensor blk.6.key.dense4.center: it was made for another plan"},
        {7, Side::value, "dense4", 2, 3, "the calibration has no tensor blk.7.value.dense4.center: it was made for another plan"},
        {7, Side::key, "dense", 2, 3, "the calibration has no tensor blk.7.key.dense.center: it was made for another plan"},
        {7, Side::key, "dense4", 3, 2, "calibration tensor blk.7.key.dense4.center has shape [2, 3], expected [3, 2]"},
        {7, Side::key, "dense4", 1, 6, "calibration tensor blk.7.key.dense4.center has shape [2, 3], expected [1, 6]"},
    };
    for (const auto & c : cases) {
        const auto heads = head_transforms(tensors, c.layer, c.side, c.name, Rotation::dense, c.n_heads, c.head_dim);
        ASSERT_FALSE(heads.ok()) << c.message;
        EXPECT_EQ(heads.error().message, c.message);
    }
    for (const auto & [part, shape] : {std::pair{"matrix", "[2, 3, 3]"}, {"feedback", "[2, 3]"}, {"scale", "[2, 3]"}}) {
        Tensors           damaged = tensors;
        const std::string name    = std::string("blk.7.key.dense4.") + part;
        damaged[name].shape       = {18};
        EXPECT_EQ(head_transforms(damaged, 7, Side::key, "dense4", Rotation::dense, 2, 3).error().message,
                  "calibration tensor " + name + " has shape [18], expected " + shape);
    }
}

class CalibrationFile : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "kvt_calibration_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
        fs::remove_all(folder_);
        ASSERT_TRUE(make_folder(folder_).ok());
        write(write_safetensors({example_tensors(), {{"positions", "512"}}}));
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string    path() const { return folder_ + "/c.safetensors"; }
    void           write(const std::string & bytes) { ASSERT_TRUE(write_file_atomic(path(), bytes).ok()); }
    CalibrationRef ref() const { return {folder_, "c.safetensors", sha256_hex(*read_file(path())), 512}; }

    static std::string error_of(const CalibrationRef & ref) {
        const auto tensors = load_calibration(ref);
        return tensors.ok() ? "accepted" : tensors.error().message;
    }

    std::string folder_;
};

TEST_F(CalibrationFile, IsDescribedAndLoaded) {
    const auto described = describe_calibration(path());
    ASSERT_TRUE(described.ok()) << described.error().message;
    EXPECT_EQ(*described, ref());
    const auto tensors = load_calibration(*described);
    ASSERT_TRUE(tensors.ok()) << tensors.error().message;
    EXPECT_EQ(**tensors, example_tensors());
}

TEST_F(CalibrationFile, AnotherFileIsNotTheCalibrationOfThePlan) {
    const CalibrationRef wanted = ref();
    write(write_safetensors({example_tensors(), {{"positions", "1024"}}}));
    EXPECT_EQ(error_of(wanted), "calibration file \"" + path() + "\" is not the one the plan was made with: sha256 " +
                                    ref().sha256.substr(0, 12) + "..., expected " + wanted.sha256.substr(0, 12) + "...");
    fs::remove(path());
    EXPECT_EQ(error_of(wanted), "cannot read \"" + path() + "\": No such file or directory");
    EXPECT_EQ(error_of({}), "the plan uses transforms but names no calibration file");
}

TEST_F(CalibrationFile, OnlyFilesBesideThePlanAreRead) {
    ASSERT_TRUE(make_folder(folder_ + "/inner").ok());
    for (const std::string name : {"../c.safetensors", "inner/../../x", "/etc/passwd", ".", "..", "/"}) {
        CalibrationRef outside = ref();
        outside.folder         = folder_ + "/inner";
        outside.file           = name;
        EXPECT_EQ(error_of(outside), "calibration file \"" + name + "\": must be a file in the plan's folder");
    }
}

TEST_F(CalibrationFile, DamagedFilesAreRefusedByName) {
    write("no safetensors");
    EXPECT_THAT(error_of(ref()), StartsWith("calibration file \"" + path() + "\": not a safetensors file"));
    EXPECT_THAT(describe_calibration(path()).error().message,
                StartsWith("calibration file \"" + path() + "\": not a safetensors file"));
}

TEST_F(CalibrationFile, DescribingNeedsPositions) {
    for (const char * positions : {"", "0", "-5", "many", "99999999999"}) {
        write(write_safetensors({example_tensors(), {{"positions", positions}}}));
        EXPECT_THAT(describe_calibration(path()).error().message,
                    HasSubstr("is not a calibration file: make one with kvtuner calibrate"))
            << positions;
    }
    write(write_safetensors({example_tensors(), {}}));
    EXPECT_FALSE(describe_calibration(path()).ok()) << "model weights are safetensors files too";
}

}  // namespace
}  // namespace kvt
