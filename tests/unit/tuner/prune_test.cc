#include "kvt/tuner/prune/prune.h"

#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "planted.h"

namespace kvt::testing {
namespace {

TEST(Prune, SixPublishedRowsGiveTheirSets) {
    for (const PlantedRow & row : planted_rows()) EXPECT_EQ(pareto_pairs(row.e_o), row.kept) << row.name;
}

struct Deviations {
    const char *                       model;
    int                                n_layer;
    std::map<std::string, std::string> rows;
};

// method.md section 4, oracle 2: every other layer has set D.
const Deviations kDeviations[] = {
    {"Llama-3.1-8B per-token", 32, {{"V1", "0"}}},
    {"Llama-3.1-8B KIVI", 32, {{"V1", "1,2,3,7,29,31"}, {"V2", "0"}}},
    {"Mistral-7B-v0.3 per-token", 32, {{"V2", "0"}}},
    {"Mistral-7B-v0.3 KIVI", 32, {{"V1", "2-4,6,7-10,14,18,27,29"}, {"V2", "0"}}},
    {"Qwen2.5-3B per-token", 36, {{"H1", "0"}, {"H2", "18,27,29"}}},
    {"Qwen2.5-3B KIVI", 36, {{"V1", "3,6,11,13,23"}, {"V2", "0,1,2,4,34,35"}}},
    {"Qwen2.5-7B per-token", 28, {{"H1", "0"}, {"H2", "3,13,27"}}},
    {"Qwen2.5-7B KIVI", 28, {{"V1", "6"}, {"V2", "0,1,2,3"}}},
    {"Qwen2.5-14B per-token", 48, {}},
    {"Qwen2.5-14B KIVI", 48, {{"V1", "5,6,8,9,12"}, {"V2", "0-4"}}},
    {"Qwen2.5-32B KIVI", 64, {{"V1", "5-10,12,14,16,18-21,23,26-28,32"}, {"V2", "0-4,11"}, {"M", "63"}}}};

TEST(Prune, DeviatingLayersOfThePublishedModels) {
    for (const Deviations & d : kDeviations) {
        const CandidateSets sets = prune(planted_table(d.n_layer, d.rows));
        ASSERT_EQ(sets.layers.size(), static_cast<size_t>(d.n_layer)) << d.model;
        std::map<int, std::string> expected;
        for (const auto & [name, layers] : d.rows) {
            for (const int l : layer_list(layers)) expected[l] = name;
        }
        for (int l = 0; l < d.n_layer; ++l) {
            const std::string name = expected.contains(l) ? expected[l] : "D";
            EXPECT_EQ(sets.layers[static_cast<size_t>(l)].layer, l);
            EXPECT_EQ(sets.layers[static_cast<size_t>(l)].pairs, planted_row(name).kept) << d.model << " layer " << l;
        }
    }
}

TEST(Prune, ExactTieKeepsMoreKeyBits) {
    ErrorRow row = planted_row("D").e_o;
    row[1] = row[3] = 0.1;  // K8V4 and K4V8
    EXPECT_EQ(pareto_pairs(row), (std::vector<int>{0, 1, 4, 5, 8}));
}

TEST(Prune, EqualErrorWithFewerBitsRemoves) {
    ErrorRow row;
    row.fill(0.5);
    EXPECT_EQ(pareto_pairs(row), std::vector<int>{8});  // all equal: only KV2 is left
}

TEST(Prune, NaNNeverSurvivesBesideNumbers) {
    ErrorRow row = planted_row("D").e_o;
    row[0] = row[4] = std::numeric_limits<double>::quiet_NaN();
    // Without KV8 and KV4, K8V4 (.100) beats K4V8 (.168) at 6 bits, and K8V2 (.401) is the best of 5.
    EXPECT_EQ(pareto_pairs(row), (std::vector<int>{1, 2, 5, 8}));
}

TEST(Prune, WithoutPruningEveryLayerKeepsNine) {
    for (const LayerCandidates & layer : prune(planted_table(3, {}), Pruning::none).layers)
        EXPECT_EQ(layer.pairs, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Prune, CarriesModelModeAndInputs) {
    SensitivityTable table   = planted_table(4, {});
    table.mode               = Mode::per_token_asym;
    table.inputs_sha256      = std::string(64, 'b');
    const CandidateSets sets = prune(table);
    EXPECT_EQ(sets.model, table.model);
    EXPECT_EQ(sets.mode, Mode::per_token_asym);
    EXPECT_EQ(sets.inputs_sha256, table.inputs_sha256);
}

// Invariants on random rows: KV2 survives, at most one pair per bit count, error falls strictly as bits rise, and everything
// removed is dominated by something kept.
TEST(Prune, PropertiesOfTheFrontier) {
    SplitMix64 rng(7);
    for (int round = 0; round < 2000; ++round) {
        ErrorRow row;
        for (double & e : row) e = static_cast<double>(rng.below(20)) / 20.0;  // coarse, so that ties occur
        const std::vector<int> kept = pareto_pairs(row);
        ASSERT_FALSE(kept.empty());
        EXPECT_EQ(kept.back(), 8);
        const auto bits  = [](int p) { return kPairs[static_cast<size_t>(p)].k + kPairs[static_cast<size_t>(p)].v; };
        const auto error = [&](int p) { return row[static_cast<size_t>(p)]; };
        for (const int a : kept) {
            for (const int b : kept) {
                if (a == b) continue;
                EXPECT_NE(bits(a), bits(b));
                if (bits(a) > bits(b)) {
                    EXPECT_LT(error(a), error(b));
                }
            }
        }
        const std::set<int> in(kept.begin(), kept.end());
        for (int p = 0; p < 9; ++p) {
            if (in.contains(p)) continue;
            bool dominated = false;
            for (const int q : kept) dominated = dominated || (bits(q) <= bits(p) && error(q) <= error(p));
            EXPECT_TRUE(dominated) << "pair " << p << " in round " << round;
        }
    }
}

}  // namespace
}  // namespace kvt::testing
