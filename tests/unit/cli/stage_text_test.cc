#include "kvt/cli/stage_text.h"

#include <limits>

#include <gtest/gtest.h>

namespace kvt::cli {
namespace {

TEST(StageText, StripHasOneCharacterALayer) {
    EXPECT_EQ(plan_strip({{8, 4}, {4, 2}, {16, 16}}), "  K bits by layer  84f\n  V bits by layer  42f\n");
}

TEST(StageText, GroupsShowRangesPairsAndSpace) {
    LayerGroups groups;
    groups.groups          = {{{0, 1, 2, 5}, {0, 8}, {0.1, 0.9}}, {{3}, {0, 1, 4}, {0.1, 0.2, 0.3}}};
    const std::string text = groups_text(groups);
    EXPECT_NE(text.find("2 groups of layers, 6 plans"), std::string::npos) << text;
    EXPECT_NE(text.find("0-2,5"), std::string::npos) << text;
    EXPECT_NE(text.find("KV8 K8V4 KV4"), std::string::npos) << text;
}

TEST(StageText, SensitivityHasARowPerLayer) {
    SensitivityTable table;
    table.n_prompts = 20;
    table.n_tokens  = 640;
    LayerErrors e;
    e.layer                = 7;
    e.e_o[0]               = 0.0144;
    e.e_o[8]               = 0.962;
    e.patterns             = {{0.9, 0.7, 0.25}, {0.3, 0.10, 0.17}};
    table.layers           = {e};
    const std::string text = sensitivity_text(table);
    EXPECT_NE(text.find("kivi, 20 prompts, 640 decode steps"), std::string::npos) << text;
    EXPECT_NE(text.find("0.014"), std::string::npos) << text;
    EXPECT_NE(text.find("0.962"), std::string::npos) << text;
    EXPECT_NE(text.find("7      0.60   0.40    0.21           1 of 2"), std::string::npos) << text;
}

TEST(StageText, HeldOutLeavesUnknownFiguresEmpty) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    HeldOutCheck     check;
    check.floor            = 0.0034;
    check.plans            = {{"tuned", 6.5, 7.75, 0.0081, kNaN, kNaN, kNaN, 0.971, 0, kNaN, kNaN, {}}};
    const std::string text = held_out_text(check);
    EXPECT_NE(text.find("noise floor 0.0034"), std::string::npos) << text;
    EXPECT_NE(text.find("0.0081"), std::string::npos) << text;
    EXPECT_NE(text.find("97.1 %"), std::string::npos) << text;
    EXPECT_EQ(text.find("nan"), std::string::npos) << text;
}

TEST(StageText, GapToEveryTextIsSaid) {
    Evaluation   chosen;
    HeldOutCheck prose, code;
    chosen.kld             = 0.010;
    prose.plans            = {{"tuned", 6.5, 7.75, 0.012, 0, 0, 0, 0.97, 0, 0, 0, {}}};
    code.plans             = {{"tuned", 6.5, 7.75, 0.008, 0, 0, 0, 0.97, 0, 0, 0, {}}};
    const std::string text = checks_text(Study{}, chosen, {{"prose.txt", prose}, {"code.txt", code}});
    EXPECT_NE(text.find("searched: 0.0100\n  on prose.txt: 0.0120 (+20 %)\n  on code.txt: 0.0080 (-20 %)\n"), std::string::npos)
        << text;
}

TEST(StageText, NextStepsCanBeTyped) {
    const std::string text = next_steps("m.gguf", "out/plan.json", "/x/libggml-kvtuner.so");
    EXPECT_NE(text.find("GGML_BACKEND_PATH=/x/libggml-kvtuner.so KVT_PLAN=out/plan.json"), std::string::npos) << text;
    EXPECT_NE(text.find("--device KVT0"), std::string::npos) << text;
    EXPECT_NE(text.find("kvtuner serve -m m.gguf\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace kvt::cli
