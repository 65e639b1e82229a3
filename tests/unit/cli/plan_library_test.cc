#include "kvt/cli/plan_library.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "support/plans.h"

namespace kvt::cli {
namespace {

namespace fs = std::filesystem;

class PlanLibrary : public ::testing::Test {
protected:
    void SetUp() override {
        root_ = fs::path(::testing::TempDir()) / ("kvt_library_" + std::to_string(::getpid()));
        ::setenv("XDG_DATA_HOME", root_.c_str(), 1);
    }
    void TearDown() override { fs::remove_all(root_); }

    fs::path root_;
};

TEST_F(PlanLibrary, HasAPlaceOfItsOwn) {
    EXPECT_EQ(*library_folder(), root_.string() + "/kvtuner/plans");
    ::setenv("XDG_DATA_HOME", "relative", 1);
    EXPECT_EQ(*library_folder(), std::string(std::getenv("HOME")) + "/.local/share/kvtuner/plans");
}

TEST_F(PlanLibrary, FindsPlansByModelNewestFirst) {
    EXPECT_TRUE(read_library(std::nullopt)->plans.empty());
    PrecisionPlan first = testing::example_plan(), second = testing::example_plan(Mode::kivi), other = first;
    other.model.file_sha256 = testing::hash_of('f');
    const auto a = put_in_library(first), b = put_in_library(second), c = put_in_library(other);
    ASSERT_TRUE(a.ok() && b.ok() && c.ok()) << a.error().message;
    EXPECT_EQ(fs::path(*a).parent_path().filename(), "aaaaaaaaaaaaaaaa");
    EXPECT_TRUE(fs::path(*a).filename().string().starts_with("per-token-asym-5.25b-")) << *a;
    EXPECT_EQ(*put_in_library(first), *a);  // the same plan is the same file
    fs::last_write_time(*a, fs::file_time_type::clock::now() - std::chrono::hours(1));

    const auto found = read_library(testing::example_model());
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->plans.size(), 2u);
    EXPECT_EQ(found->plans[0].path, *b);
    EXPECT_EQ(found->plans[1].plan, first);
    EXPECT_EQ(read_library(std::nullopt)->plans.size(), 3u);
    EXPECT_EQ(measured_kld(first)->value, 0.0021);
}

TEST_F(PlanLibrary, LeavesOutWhatItCannotRead) {
    const auto path = put_in_library(testing::example_plan());
    ASSERT_TRUE(path.ok());
    ASSERT_TRUE(write_file_atomic(fs::path(*path).parent_path() / "broken.json", "{").ok());
    ASSERT_TRUE(write_file_atomic(fs::path(*path).parent_path() / "note.txt", "x").ok());
    const auto found = read_library(testing::example_model());
    EXPECT_EQ(found->plans.size(), 1u);
    ASSERT_EQ(found->unreadable.size(), 1u);
    EXPECT_NE(found->unreadable[0].find("broken.json"), std::string::npos);
}

TEST_F(PlanLibrary, RefusesPlansItCouldNotFindAgain) {
    PrecisionPlan plan = testing::example_plan();
    plan.model.file_sha256.clear();
    EXPECT_FALSE(put_in_library(plan).ok());
    ::setenv("XDG_DATA_HOME", "/dev/null", 1);
    EXPECT_FALSE(put_in_library(testing::example_plan()).ok());
}

}  // namespace
}  // namespace kvt::cli
