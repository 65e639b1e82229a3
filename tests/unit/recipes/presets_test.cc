#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/recipes/presets.h"
#include "unit/recipes/recipe_plans.h"

namespace kvt::recipes {
namespace {

using namespace testing;

// A folder of its own, removed at the end.
class Presets : public ::testing::Test {
protected:
    std::string folder = ::testing::TempDir() + "kvt_presets_test_" + std::to_string(::getpid());

    void SetUp() override { ASSERT_TRUE(make_folder(folder).ok()); }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::string write(const std::string & name, const std::string & text) const {
        const std::string path = folder + "/" + name;
        EXPECT_TRUE(write_file_atomic(path, text).ok());
        return path;
    }
};

constexpr const char * kYaml = "0: {nbits_key: 8, nbits_value: 4}\n1: {nbits_key: 4, nbits_value: 2}\n";
constexpr const char * kJson = R"({"source": "x", "presets": [
  {"name": "Tiny_kivi_KVTuner4_0", "model": "Tiny", "mode": "kivi", "budget_bits": 4, "n_layer": 2, "bits_mean": 4.5, "k": [8, 4], "v": [4, 2]}]})";

TEST_F(Presets, FromAFolderOrAFile) {
    write("Tiny_kivi_KVTuner4_0.yaml", kYaml);
    write("Tiny_pertoken_KVTuner4_0.yaml", kYaml);
    write("README.md", "not a preset");
    const auto presets = read_presets(folder);
    ASSERT_TRUE(presets.ok()) << presets.error().message;
    ASSERT_EQ(presets->size(), 2u);
    EXPECT_EQ((*presets)[0].model, "Tiny");
    EXPECT_EQ((*presets)[0].mode, Mode::kivi);
    EXPECT_EQ((*presets)[1].mode, Mode::per_token_asym);
    EXPECT_EQ((*presets)[0].payload_bits(), 4.5);
    const auto file = read_presets(write("presets.json", kJson));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->at(0).pairs, (*presets)[0].pairs);
}

TEST_F(Presets, BecomePlansOfTheirMode) {
    const auto presets = read_presets(write("presets.json", kJson));
    ASSERT_TRUE(presets.ok());
    const auto out = import_preset(*presets, "Tiny_kivi_KVTuner4_0", {.model = model_of(2)});
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->plan.mode, Mode::kivi);
    EXPECT_EQ(payload_bits(out->plan), 4.5);
    EXPECT_EQ(out->plan.provenance.method, "preset:Tiny_kivi_KVTuner4_0");
    EXPECT_EQ(out->notes.at(0), "the preset was published for Tiny, this model calls itself \"m\"");
    ModelInfo tiny = model_of(2);
    tiny.name      = "Tiny model";
    EXPECT_TRUE(import_preset(*presets, "Tiny_kivi_KVTuner4_0", {.model = tiny})->notes.empty());

    EXPECT_EQ(import_preset(*presets, "Tiny_kivi_KVTuner4_0", {.model = model_of(3)}).error().message,
              "preset \"Tiny_kivi_KVTuner4_0\": the recipe has 2 layers, the model \"m\" has 3");
    EXPECT_EQ(
        import_preset(*presets, "Tiny_kivi_KVTuner4_0", {.model = model_of(2), .mode = Mode::per_token_asym}).error().message,
        "preset \"Tiny_kivi_KVTuner4_0\" was published for mode kivi, not per-token-asym");
    EXPECT_EQ(import_preset(*presets, "tiny kivi", {.model = model_of(2)}).error().message,
              "there is no preset \"tiny kivi\" (similar: Tiny_kivi_KVTuner4_0)");
    EXPECT_EQ(import_preset(*presets, "huge", {.model = model_of(2)}).error().message,
              "there is no preset \"huge\" (kvtuner import --list names all)");
}

TEST_F(Presets, TheOneForAModelHasItsNameAndLayers) {
    const auto preset = [](const char * model, Mode mode, int k, int layers) {
        return Preset{std::string(model) + "_x", model, mode, std::vector<PairBits>(static_cast<size_t>(layers), {k, 4})};
    };
    const std::vector<Preset> presets{
        preset("Qwen2.5-3B", Mode::kivi, 8, 4), preset("Qwen2.5-3B-Instruct", Mode::per_token_asym, 8, 4),
        preset("Qwen2.5-3B-Instruct", Mode::kivi, 2, 4), preset("Qwen2.5-3B-Instruct", Mode::kivi, 4, 4),
        preset("Qwen2.5-3B-Instruct", Mode::kivi, 8, 5)};
    ModelInfo model = model_of(4);
    EXPECT_EQ(preset_for(presets, model), nullptr);
    model.name = "Qwen2.5 3B Instruct";
    EXPECT_EQ(preset_for(presets, model), &presets[3]);
    model.name = "qwen2.5 3b";
    EXPECT_EQ(preset_for(presets, model), &presets[0]);
    model.n_layer = 6;
    EXPECT_EQ(preset_for(presets, model), nullptr);
}

TEST_F(Presets, SayWhatIsWrong) {
    const auto error = [&](const std::string & from, const std::string & to) {
        std::string text = kJson;
        text.replace(text.find(from), from.size(), to);
        const std::string path   = write("presets.json", text);
        const auto        result = read_presets(path);
        return result ? "no error" : result.error().message.substr(("presets \"" + path + "\": ").size());
    };
    EXPECT_EQ(error("4.5", "4.6"), "/presets/0: bits_mean is 4.6, its layers give 4.5000");
    EXPECT_EQ(error("[8, 4]", "[8, 3]"), "/presets/0: layer 1: 3 is not 2, 4 or 8");
    EXPECT_EQ(error("[8, 4]", "[8]"), "/presets/0: 1 and 2 bits for 2 layers");
    EXPECT_EQ(error("\"kivi\"", "\"other\"").substr(0, 17), "/presets/0/mode: ");
    EXPECT_EQ(error("presets", "preset"), "no list \"presets\"");
    write("Tiny_kivi_KVTuner4_0.yaml", "0: {nbits_key: 8}\n");
    EXPECT_NE(read_presets(folder).error().message.find("Tiny_kivi_KVTuner4_0.yaml: line 1: layer 0: nbits_value is missing"),
              std::string::npos);
    EXPECT_NE(read_presets(folder + "/none").error().message.find("none"), std::string::npos);
}

// The real presets are not in this tree: KVT_PRESETS names a copy of them.
TEST(PublishedPresets, AreReadAndWrittenWithoutLoss) {
    const char * path = std::getenv("KVT_PRESETS");
    if (path == nullptr) GTEST_SKIP() << "KVT_PRESETS does not name a copy of the published presets";
    const auto presets = read_presets(path);
    ASSERT_TRUE(presets.ok()) << presets.error().message;
    ASSERT_EQ(presets->size(), 32u);
    std::map<std::string, int> totals;
    double                     lowest = 16, highest = 0;
    int                        exact = 0;
    for (const Preset & preset : *presets) {
        const ModelInfo model = model_of(static_cast<int>(preset.pairs.size()));
        const auto      plan  = import_preset(*presets, preset.name, {.model = model});
        ASSERT_TRUE(plan.ok()) << plan.error().message;
        const auto back = import_kvtuner_yaml(text_of(plan->plan, "kvtuner-yaml"), preset.name, {.model = model});
        ASSERT_TRUE(back.ok()) << back.error().message;
        EXPECT_EQ(back->plan.layers, plan->plan.layers) << preset.name;
        lowest  = std::min(lowest, preset.payload_bits());
        highest = std::max(highest, preset.payload_bits());
        for (const PairBits & pair : preset.pairs) totals[pair_name(pair.k, pair.v)]++;
        EXPECT_LE(preset.payload_bits(), preset.name.find("KVTuner4") != std::string::npos ? 4 : 6) << preset.name;
        if (export_plan(plan->plan, "modelopt", with_path()).ok()) {
            exact++;
            EXPECT_EQ(preset.name, "Meta-Llama-3.1-8B-Instruct_pertoken_KVTuner6_1");
        }
        EXPECT_FALSE(export_plan(plan->plan, "ik", {}).ok()) << "three runs of K and of V never fit";
        EXPECT_TRUE(export_plan(plan->plan, "ik", raised()).ok());
    }
    EXPECT_EQ(exact, 1);
    EXPECT_NEAR(lowest, 3.0625, 5e-5);
    EXPECT_NEAR(highest, 5.9643, 5e-5);
    EXPECT_EQ(
        totals,
        (std::map<std::string, int>{
            {"K4V2", 359}, {"K8V4", 215}, {"KV4", 199}, {"KV2", 98}, {"KV8", 94}, {"K4V8", 35}, {"K2V4", 16}, {"K8V2", 8}}));
}

}  // namespace
}  // namespace kvt::recipes
