// kvtuner export and kvtuner import, as a user runs them.
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
using ::testing::HasSubstr;
using testing::kModel;
using testing::kvtuner;
using testing::Outcome;
using testing::temporary;

constexpr int kLayers = 5;  // of the test model

class RecipeCommands : public ::testing::Test {
protected:
    std::string folder = temporary("recipes");

    void SetUp() override { ASSERT_TRUE(make_folder(folder).ok()); }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::string write(const std::string & name, const std::string & text) const {
        EXPECT_TRUE(write_file_atomic(folder + "/" + name, text).ok());
        return folder + "/" + name;
    }
    std::string example(Mode mode = Mode::per_token_asym) const {
        return write("plan.json", write_plan(testing::example_plan(mode)));
    }
    static std::string yaml_of(int n_layers) {
        std::string text;
        for (int i = 0; i < n_layers; ++i)
            text += std::to_string(i) + ": {nbits_key: " + (i == 0 ? "8" : "4") + ", nbits_value: 4}\n";
        return text;
    }
};

TEST_F(RecipeCommands, ExportWritesTheRecipeToStdoutAndTheLossToStderr) {
    const Outcome run = kvtuner("export '" + example() + "' --to ik --approx");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.out, "-ctk q4_0 -ctk-first q8_0,2 -ctv q4_0 -ctv-first q8_0,1\n");
    EXPECT_THAT(run.err, HasSubstr("payload bits     5.25 planned, 5.5 written; other bits in 1 of 4 layers\n"));
    EXPECT_THAT(run.err, HasSubstr("effective bits   5.75 planned, 6 written\n"));
    EXPECT_THAT(run.err, HasSubstr("quality          not measured for this target\n"));
    EXPECT_THAT(run.err, HasSubstr("3  int4.pt64  int2.pt64  q4_0/q4_0      C\n"));
}

TEST_F(RecipeCommands, ExportToAFileWritesTheLossBesideIt) {
    const std::string plan = example(), out = folder + "/hf_quant_config.json";
    const std::string command =
        "export '" + plan + "' --to modelopt --hf-attn-path 'model.layers.{i}.self_attn' -o '" + out + "'";
    const Outcome refused = kvtuner(command);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    EXPECT_FALSE(file_exists(out) || file_exists(out + ".loss.json") || file_exists(out + ".plan.json"));

    const Outcome run = kvtuner(command + " --approx=raise");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(json::parse(*read_file(out))["quantization"]["kv_cache_schema_version"], 1);
    EXPECT_EQ(json::parse(*read_file(out + ".loss.json"))["layers"][3]["v_bits_change"], 2);
    EXPECT_EQ(read_plan_file(out + ".plan.json")->layers, testing::example_plan().layers) << "the plan stands beside the map";
    EXPECT_THAT(run.out, HasSubstr("no runnable checkpoint"));
}

TEST_F(RecipeCommands, AnExportThatLosesNothingWritesNoLoss) {
    const std::string out = folder + "/m_pertoken_KVTuner6_0.yaml";
    ASSERT_TRUE(write_file_atomic(out + ".loss.json", "of an earlier export").ok());
    const Outcome run = kvtuner("export '" + example() + "' --to kvtuner-yaml -o '" + out + "' --json");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const json report = json::parse(run.out);
    EXPECT_EQ(report["loss"]["class"], "A");
    EXPECT_EQ(report["text"], *read_file(out));
    EXPECT_FALSE(file_exists(out + ".loss.json"));
}

TEST_F(RecipeCommands, AnExportThatCannotBeWrittenLeavesNothing) {
    const std::string out = folder + "/taken";
    ASSERT_TRUE(make_folder(out + "/inside").ok());  // a folder stands where the file should go
    const Outcome run = kvtuner("export '" + example() + "' --to ik --approx -o '" + out + "'");
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_FALSE(file_exists(out + ".loss.json"));
}

TEST_F(RecipeCommands, ExportSaysWhatIsWrong) {
    const std::string plan = "'" + example() + "'";
    const struct {
        std::string arguments, error;
    } cases[] = {
        {"export", "kvtuner: export needs PLAN and --to TARGET (kvtuner export --list names the targets)\n"},
        {"export " + plan + " --to ik --approx=fit",
         "kvtuner: --approx=fit lowers the layers that matter least, and a plan holds no scores of layers: use --approx=raise\n"},
        {"export " + plan + " --to ik --vllm-dtype fp8",
         "kvtuner: --vllm-dtype means nothing for ik (it belongs to: vllm vllm-json)\n"},
        {"export kivi:KV4 --to ik", "kvtuner: \"kivi:KV4\" is a short form and says nothing about a model: give -m MODEL too\n"},
        {"export kivi:KV4 --to llama-cpp -m " + kModel, "kvtuner: llama-cpp: needs a plan file (kvtuner plan make writes one)\n"},
    };
    for (const auto & c : cases) {
        const Outcome run = kvtuner(c.arguments);
        EXPECT_EQ(run.exit_code, 1) << c.arguments;
        EXPECT_EQ(run.err, c.error);
        EXPECT_EQ(run.out, "");
    }
    EXPECT_EQ(kvtuner("export " + plan + " --to ik --approx=wrong").exit_code, 2);
    EXPECT_EQ(kvtuner("export " + plan + " --to ik --index wrong").exit_code, 2);
    EXPECT_THAT(kvtuner("export --list").out, HasSubstr("tensorrt-llm"));
}

TEST_F(RecipeCommands, TheLlamaCppSnippetNamesThePluginOfThisBuild) {
    const Outcome run = kvtuner("export '" + example() + "' --to llama-cpp");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("export GGML_BACKEND_PATH=" KVT_TEST_PLUGIN "\n"));
    EXPECT_THAT(run.out, HasSubstr("--device KVT0\n"));
}

TEST_F(RecipeCommands, YamlRoundTrip) {
    const std::string made = folder + "/made.json", yaml = folder + "/m_kivi_KVTuner4_0.yaml", back = folder + "/back.json";
    ASSERT_EQ(kvtuner("plan make kivi:K4V2 -m " + kModel + " -o '" + made + "'").exit_code, 0);
    ASSERT_EQ(kvtuner("export '" + made + "' --to kvtuner-yaml -o '" + yaml + "'").exit_code, 0);
    const Outcome run = kvtuner("import '" + yaml + "' -m " + kModel + " -o '" + back + "' --json");
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const auto plan = read_plan_file(back);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->layers, read_plan_file(made)->layers);
    EXPECT_EQ(plan->provenance.inputs.at(1).role, "recipe");
    const json report = json::parse(run.out);
    EXPECT_EQ(report["payload_bits"], 3);
    EXPECT_EQ(report["effective_bits"], plan_size(*plan, 4096).effective_bits);
    EXPECT_EQ(kvtuner("plan check '" + back + "' -m " + kModel).exit_code, 0);
}

TEST_F(RecipeCommands, PresetsComeFromTheUsersCopy) {
    ASSERT_TRUE(make_folder(folder + "/presets").ok());
    write("presets/Tiny_pertoken_KVTuner6_0.yaml", yaml_of(kLayers));
    write("presets/Huge_kivi_KVTuner4_0.yaml", yaml_of(40));
    const std::string given  = " --presets '" + folder + "/presets'";
    const Outcome     listed = kvtuner("import --list" + given);
    EXPECT_EQ(listed.exit_code, 0) << listed.err;
    EXPECT_THAT(listed.out, HasSubstr("Tiny_pertoken_KVTuner6_0  per-token-asym"));
    EXPECT_EQ(json::parse(kvtuner("import --list --json", "KVT_PRESETS='" + folder + "/presets'").out)["presets"][0]["n_layer"],
              40);

    const std::string out = folder + "/plan.json";
    const Outcome     run = kvtuner("import preset:Tiny_pertoken_KVTuner6_0 -m " + kModel + " -o '" + out + "'" + given);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("(per-token-asym, 5 layers, payload 4.4 bits, effective "));
    EXPECT_EQ(read_plan_file(out)->provenance.method, "preset:Tiny_pertoken_KVTuner6_0");

    const Outcome huge = kvtuner("import preset:Huge_kivi_KVTuner4_0 -m " + kModel + " -o '" + folder + "/huge.json'" + given);
    EXPECT_EQ(huge.exit_code, 1);
    EXPECT_THAT(huge.err, HasSubstr("preset \"Huge_kivi_KVTuner4_0\": the recipe has 40 layers, the model "));
    EXPECT_FALSE(file_exists(folder + "/huge.json"));

    const Outcome none = kvtuner("import --list", "env -u KVT_PRESETS");
    EXPECT_EQ(none.exit_code, 1);
    EXPECT_THAT(none.err, HasSubstr("the published presets are not part of kvtuner"));
}

TEST_F(RecipeCommands, ImportSaysWhatIsWrong) {
    const std::string yaml = write("x.yaml", yaml_of(kLayers)), other = write("x.txt", ""), map = write("x.json", "{}");
    const std::string rest = " -m " + kModel + " -o '" + folder + "/out.json'";
    const struct {
        std::string arguments, error;
    } cases[] = {
        {"import '" + yaml + "'",
         "kvtuner: import needs SOURCE, -m MODEL (unless SOURCE is a GGUF file) and -o PLAN ("
         "kvtuner import --list names the presets)\n"},
        {"import '" + yaml + "'" + rest, "kvtuner: recipe \"" + yaml +
                                             "\": the file says nothing about the mode, and its name has neither _kivi_ nor "
                                             "_pertoken_: give --mode kivi or per-token\n"},
        {"import '" + other + "'" + rest,
         "kvtuner: \"" + other + "\": the name ends in none of .yaml, .json and .gguf: say what it is with --from\n"},
        {"import '" + map + "'" + rest,
         "kvtuner: recipe \"" + map +
             "\": neither a ModelOpt map (\"quantization\" or \"quantization_config\") nor a search "
             "report (\"candidates\")\n"},
    };
    for (const auto & c : cases) {
        const Outcome run = kvtuner(c.arguments);
        EXPECT_EQ(run.exit_code, 1) << c.arguments;
        EXPECT_EQ(run.err, c.error);
        EXPECT_FALSE(file_exists(folder + "/out.json"));
    }
}

}  // namespace
}  // namespace kvt::cli
