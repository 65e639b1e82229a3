#include "kvt/plan/plan_set.h"

#include <chrono>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "support/plans.h"

namespace kvt {
namespace {

namespace fs = std::filesystem;
using testing::example_model;
using testing::hash_of;
using ::testing::HasSubstr;

// A plan of 16 bits; models differ in their hash and whatever else a test wants.
PrecisionPlan plan_for(char digit, int n_layer = 4, int n_kv_heads = 2) {
    ModelInfo model   = example_model();
    model.file_sha256 = hash_of(digit);
    model.n_layer     = n_layer;
    model.n_kv_heads  = n_kv_heads;
    return f16_plan(model);
}

std::vector<CacheRow> rows_of(const std::vector<int> & layers, int64_t n_embd = 128) {
    std::vector<CacheRow> rows;
    for (const int layer : layers) {
        rows.push_back({layer, Side::key, n_embd});
        rows.push_back({layer, Side::value, n_embd});
    }
    return rows;
}

class PlanSets : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::path(::testing::TempDir()) / ("kvt_plan_set_" + std::to_string(::getpid()));
        fs::create_directories(folder_ / "sub");
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string put(const std::string & name, const std::string & text) const {
        EXPECT_TRUE(write_file_atomic((folder_ / name).string(), text).ok());
        return (folder_ / name).string();
    }
    std::string put_map(const std::string & plans, const std::string & rest = "") const {
        return put("map.json", R"({"schema": "kvtuner.plan_map", "schema_version": 1, "plans": {)" + plans + "}" + rest + "}");
    }
    static std::string entry(char digit, const std::string & path) { return fmt::format(R"("{}": "{}")", hash_of(digit), path); }

    std::string refusal(const std::string & text) const {
        const auto set = read_plan_set(text);
        return set.ok() ? "read" : set.error().message;
    }

    fs::path folder_;
};

TEST_F(PlanSets, OnePlanIsNoSet) {
    const std::string plan = put("a.json", write_plan(plan_for('a')));
    for (const std::string & text :
         {std::string("f16"), std::string("kivi:K4V2"), plan, std::string("nowhere.json"), write_plan(plan_for('a'))})
        EXPECT_FALSE(names_plan_set(text)) << text;
    EXPECT_TRUE(names_plan_set(folder_.string()));
    EXPECT_TRUE(names_plan_set(plan + ";kivi:KV8"));
    EXPECT_TRUE(names_plan_set("kivi:KV8;" + plan));
    EXPECT_TRUE(names_plan_set(put_map("")));
}

TEST_F(PlanSets, MapByFingerprint) {
    put("a.json", write_plan(plan_for('a')));
    put("sub/b.json", write_plan(plan_for('b', 6)));
    const auto set = read_plan_set(put_map(entry('a', "a.json") + "," + entry('b', "sub/b.json"), R"(, "others": "kivi:KV8")"));
    ASSERT_TRUE(set.ok()) << set.error().message;
    ASSERT_EQ(set->plans.size(), 2u);
    EXPECT_EQ(set->plans[1].plan.layers.size(), 6u);
    EXPECT_EQ(set->others->pair, (PairBits{8, 8}));

    EXPECT_EQ(find_plan(*set, rows_of({0, 1, 2, 3})).value(), std::optional<size_t>(0));
    EXPECT_EQ(find_plan(*set, rows_of({0, 1, 2, 3, 4, 5})).value(), std::optional<size_t>(1));
    EXPECT_EQ(find_plan(*set, rows_of({4, 5})).value(), std::optional<size_t>(1)) << "the first layers lie elsewhere";
    EXPECT_EQ(find_plan(*set, rows_of({1, 3, 5})).value(), std::optional<size_t>(1)) << "one kind of layers";
    EXPECT_EQ(find_plan(*set, rows_of({0, 1})).value(), std::nullopt) << "a smaller model";
    EXPECT_EQ(find_plan(*set, rows_of({0, 1, 2, 3}, 64)).value(), std::nullopt) << "other rows";
    EXPECT_EQ(find_plan(*set, rows_of({0, 1, 2, 3, 4, 5, 6})).value(), std::nullopt) << "a larger model";
}

TEST_F(PlanSets, AModelWithoutAPlanIsRefused) {
    put("a.json", write_plan(plan_for('a')));
    const auto set = read_plan_set(put_map(entry('a', "a.json")));
    ASSERT_TRUE(set.ok()) << set.error().message;
    const auto found = find_plan(*set, rows_of({0, 1, 2}));
    ASSERT_FALSE(found.ok());
    EXPECT_THAT(
        found.error().message,
        HasSubstr("no plan for a model that has a cache of 3 layers, 0 .. 2 with rows of 128 (K) and 128 (V) elements: add "
                  "the plan of this model, or a short form"));
}

TEST_F(PlanSets, TwoModelsOfOneShapeCannotBeToldApart) {
    put("a.json", write_plan(plan_for('a')));
    put("b.json", write_plan(plan_for('b')));
    const auto set = read_plan_set(put_map(entry('a', "a.json") + "," + entry('b', "b.json"), R"(, "others": "f16")"));
    ASSERT_TRUE(set.ok()) << set.error().message;
    const auto found = find_plan(*set, rows_of({0, 1, 2, 3}));
    ASSERT_FALSE(found.ok());
    EXPECT_THAT(found.error().message, HasSubstr("a.json and " + (folder_ / "b.json").string() + " are for different models"));
}

TEST_F(PlanSets, NoPathLeavesTheFolderOfAMap) {
    const fs::path outside = folder_.string() + "_outside.json";
    ASSERT_TRUE(write_file_atomic(outside.string(), write_plan(plan_for('a'))).ok());
    fs::create_symlink(outside, folder_ / "link.json");
    for (const std::string & path :
         {outside.string(), "../" + outside.filename().string(), "sub/../../" + outside.filename().string(), std::string()})
        EXPECT_THAT(refusal(put_map(entry('a', path))), HasSubstr("must be a path below the map's folder")) << path;
    EXPECT_THAT(refusal(put_map(entry('a', "link.json"))), HasSubstr("link.json is not in the folder"));
    EXPECT_THAT(refusal(put_map(entry('a', "gone.json"))), HasSubstr("gone.json"));
    fs::remove(folder_ / "map.json");
    EXPECT_THAT(refusal(folder_.string()), HasSubstr("no plan in this folder or those directly below it; "));
    fs::remove(outside);
}

TEST_F(PlanSets, RefusedMaps) {
    put("a.json", write_plan(plan_for('a')));
    EXPECT_THAT(refusal(put_map(entry('b', "a.json"))),
                HasSubstr("a.json stands under the model file bbbbbbbbbbbb..., and was made for aaaaaaaaaaaa..."));
    EXPECT_THAT(refusal(put_map(entry('a', "a.json") + "," + entry('a', "a.json"))), HasSubstr("duplicate key"));
    EXPECT_THAT(refusal(put_map(entry('a', "a.json"), R"(, "others": "rotated:KV4")")), HasSubstr("needs a calibration"));
    EXPECT_THAT(refusal(put_map(entry('a', "a.json"), R"(, "others": "kivi:K3V9")")), HasSubstr("kivi:K3V9"));
    EXPECT_THAT(refusal(put_map(entry('a', "a.json"), R"(, "default": "f16")")), HasSubstr("/default"));
    EXPECT_THAT(refusal(put_map(R"("x": 3)")), HasSubstr("/plans/x"));
    EXPECT_THAT(refusal(put("map.json", R"({"schema": "kvtuner.plan_map", "schema_version": 2, "plans": {}})")),
                HasSubstr("/schema_version"));
}

TEST_F(PlanSets, AFolderHasTheNewestPlanOfEachModel) {
    put("old.json", write_plan(plan_for('a', 4)));
    const std::string newer = put("sub/new.json", write_plan(plan_for('a', 6)));
    put("b.json", write_plan(plan_for('b', 3)));
    put("study.json", "{}");
    fs::last_write_time(folder_ / "old.json", fs::file_time_type::clock::now() - std::chrono::hours(1));
    const auto set = read_plan_set(folder_.string());
    ASSERT_TRUE(set.ok()) << set.error().message;
    EXPECT_EQ(set->plans.size(), 2u);
    EXPECT_THAT(set->unreadable, ::testing::ElementsAre(HasSubstr("study.json")));
    const auto found = find_plan(*set, rows_of({0, 1, 2, 3, 4, 5}));
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(set->plans[found->value()].path, newer);
    EXPECT_FALSE(find_plan(*set, rows_of({0, 1, 2, 3})).ok()) << "the older plan";
}

TEST_F(PlanSets, AList) {
    const std::string a = put("a.json", write_plan(plan_for('a'))), b = put("b.json", write_plan(plan_for('b', 3)));
    const auto        set = read_plan_set(fmt::format("{};kivi:K4V2;{}", a, b));
    ASSERT_TRUE(set.ok()) << set.error().message;
    EXPECT_EQ(set->plans.size(), 2u);
    EXPECT_EQ(set->others->pair, (PairBits{4, 2}));
    EXPECT_THAT(refusal(a + ";" + a), HasSubstr("are for the same model file"));
    EXPECT_THAT(refusal(a + ";f16;kivi:KV4"), HasSubstr("a short form for other models already"));
    EXPECT_THAT(refusal("f16;"), HasSubstr("the list names no plan file"));
    EXPECT_THAT(refusal(a + ";nowhere.json"), HasSubstr("nowhere.json"));
}

}  // namespace
}  // namespace kvt
