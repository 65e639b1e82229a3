#include "kvt/cli/doctor_checks.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "support/plans.h"

namespace kvt::cli {
namespace {

constexpr const char * kDescribe = R"({"isa": "avx2", "isa_available": ["scalar", "avx2"]})";

class DoctorEnvironment : public ::testing::Test {
protected:
    void SetUp() override { TearDown(); }
    void TearDown() override {
        for (const char * name : {"KVT_PLAN", "KVT_FORCE_ISA", "GGML_BACKEND_PATH"}) ::unsetenv(name);
    }
    static Check check(const char * name, const std::string & value) {
        ::setenv(name, value.c_str(), 1);
        const auto checks = check_environment(kDescribe);
        EXPECT_EQ(checks.size(), 1u);
        EXPECT_EQ(checks[0].name, name);
        return checks[0];
    }
    static bool ok(const Check & check) { return check.state == Check::State::ok; }
};

TEST_F(DoctorEnvironment, NothingSetIsFine) {
    const auto checks = check_environment(kDescribe);
    ASSERT_EQ(checks.size(), 1u);
    EXPECT_TRUE(all_fine(checks));
}

TEST_F(DoctorEnvironment, PlanVariable) {
    EXPECT_TRUE(ok(check("KVT_PLAN", "kivi:K4V2")));
    EXPECT_TRUE(ok(check("KVT_PLAN", write_plan(testing::example_plan()))));
    const Check garbage = check("KVT_PLAN", "kivi:K4V7");
    EXPECT_FALSE(ok(garbage));
    EXPECT_NE(garbage.found.find("pair \"K4V7\" is unknown"), std::string::npos);
    EXPECT_NE(garbage.advice, "");
    EXPECT_EQ(check("KVT_PLAN", "/nonexistent.json").found, "cannot read \"/nonexistent.json\": No such file or directory");
    const std::string path = ::testing::TempDir() + "kvt_doctor_test.json";
    ASSERT_TRUE(write_file_atomic(path, "{}").ok());
    EXPECT_FALSE(ok(check("KVT_PLAN", path)));
    ASSERT_TRUE(write_file_atomic(path, write_plan(testing::example_plan())).ok());
    EXPECT_TRUE(ok(check("KVT_PLAN", path)));
}

TEST_F(DoctorEnvironment, ForcedIsa) {
    EXPECT_TRUE(ok(check("KVT_FORCE_ISA", "scalar")));
    const Check garbage = check("KVT_FORCE_ISA", "avx9000");
    EXPECT_FALSE(ok(garbage));
    EXPECT_EQ(garbage.found, "\"avx9000\" is not one of this machine's: scalar, avx2");
}

TEST_F(DoctorEnvironment, BackendPath) {
    EXPECT_TRUE(ok(check("GGML_BACKEND_PATH", "/proc/self/exe")));
    EXPECT_FALSE(ok(check("GGML_BACKEND_PATH", "/nonexistent.so")));
}

TEST(Doctor, SelfTestReports) {
    EXPECT_EQ(check_self_test(0, "a ok\nb ok\n").found, "2 kernels agree with the scalar reference");
    const Check failed = check_self_test(1, "a ok\nb/avx2 FAILED 3 of 64 differ\n");
    EXPECT_EQ(failed.state, Check::State::problem);
    EXPECT_EQ(failed.found, "1 of 2 failed, first: b/avx2 FAILED 3 of 64 differ");
    EXPECT_EQ(check_self_test(0, "").state, Check::State::problem);
    EXPECT_EQ(check_self_test(1, "exception").state, Check::State::problem);
}

TEST(Doctor, JsonCarriesTheVerdict) {
    const std::vector<Check> checks{{"a", Check::State::ok, "x", ""}, {"b", Check::State::problem, "y", "do z"}};
    EXPECT_FALSE(all_fine(checks));
    const auto json = doctor_json(checks);
    EXPECT_EQ(json["ok"], false);
    EXPECT_EQ(json["checks"][0]["ok"], true);
    EXPECT_EQ(json["checks"][1]["advice"], "do z");
}

}  // namespace
}  // namespace kvt::cli
