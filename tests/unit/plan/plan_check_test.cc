#include <gtest/gtest.h>

#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

std::string complaint(const ModelInfo & model) {
    const Status status = check_plan_for_model(testing::example_plan(), model);
    return status.ok() ? "" : status.error().message;
}

TEST(CheckPlan, AcceptsItsModelWhateverItIsCalled) {
    ModelInfo model = testing::example_model();
    EXPECT_EQ(complaint(model), "");
    model.name = "renamed";
    EXPECT_EQ(complaint(model), "");
    model.file_sha256.clear();  // a model that was not hashed makes no claim
    EXPECT_EQ(complaint(model), "");
}

TEST(CheckPlan, NamesTheFirstDifference) {
    const auto with = [](auto change) {
        ModelInfo model = testing::example_model();
        model.name      = "other";
        change(model);
        return complaint(model);
    };
    EXPECT_EQ(with([](ModelInfo & m) { m.n_layer = 5; }),
              "the plan is for another model: n_layer is 4 in the plan (\"example-4L\"), 5 in the model (\"other\")");
    EXPECT_NE(with([](ModelInfo & m) { m.n_kv_heads = 8; }).find("n_kv_heads is 2 in the plan"), std::string::npos);
    EXPECT_NE(with([](ModelInfo & m) { m.head_dim_k = 8; }).find("head_dim_k is 64 in the plan"), std::string::npos);
    EXPECT_NE(with([](ModelInfo & m) { m.head_dim_v = 8; }).find("head_dim_v is 64 in the plan"), std::string::npos);
    EXPECT_NE(with([](ModelInfo & m) { m.arch = "qwen2"; }).find("arch is \"llama\" in the plan (\"example-4L\"), \"qwen2\""),
              std::string::npos);
}

TEST(CheckPlan, AnotherFileOfTheSameShapeMentionsForce) {
    ModelInfo model   = testing::example_model();
    model.file_sha256 = testing::hash_of('9');
    EXPECT_EQ(complaint(model),
              "the plan was made for another model file: sha256 aaaaaaaaaaaa... in the plan (\"example-4L\"), 999999999999... in "
              "the model "
              "(\"example-4L\"); shapes agree, so --force uses the plan anyway (its measured figures then mean nothing)");
}

}  // namespace
}  // namespace kvt
