#include "kvt/tuner/cluster/cluster.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/tuner/prune/prune.h"
#include "planted.h"

namespace kvt::testing {
namespace {

// A published partition (method.md section 5, Table 10) with the candidate set of each group.
struct Published {
    const char *                                     model;
    int                                              n_layer;
    double                                           size;    // of the search space
    std::vector<std::pair<std::string, std::string>> groups;  // layers, row name
};

const std::vector<Published> & published() {
    static const std::vector<Published> all = {
        {"Llama-3.1-8B per-token",
         32,
         15625,
         {{"0", "V1"},
          {"1-4,7,13,18,25,27,31", "D"},
          {"5,6,12,21,26,28", "D"},
          {"8-11,14-17,20,30", "D"},
          {"19,22", "D"},
          {"23,24,29", "D"}}},
        {"Llama-3.1-8B KIVI",
         32,
         15625,
         {{"0", "V2"},
          {"1-3,7,29,31", "V1"},
          {"4,25,27", "D"},
          {"5,21,23,24", "D"},
          {"6,8-12,14-16,18-20,22,26,28,30", "D"},
          {"13,17", "D"}}},
        {"Mistral-7B-v0.3 per-token",
         32,
         3125,
         {{"0", "V2"}, {"1,2", "D"}, {"3,4,23,31", "D"}, {"5,6", "D"}, {"7-22,24-30", "D"}}},
        {"Mistral-7B-v0.3 KIVI",
         32,
         390625,
         {{"0,1,31", "V2"},
          {"2-4", "V1"},
          {"5,21-26,28,30", "D"},
          {"6,27,29", "V1"},
          {"7,8,10,18", "V1"},
          {"9,14", "V1"},
          {"11-13,15,17,19,20", "D"},
          {"16", "D"}}},
        {"Qwen2.5-3B per-token",
         36,
         468750,
         {{"0", "H1"},
          {"1,3-6,8,9,12,13,15,20", "D"},
          {"2,14,23,35", "D"},
          {"7,11,16,25,28,32", "D"},
          {"10,19,24,26,33", "D"},
          {"17,30,31,34", "D"},
          {"18,27,29", "H2"},
          {"21,22", "D"}}},
        {"Qwen2.5-3B KIVI",
         36,
         390625,
         {{"0,1", "V2"},
          {"2,4", "V2"},
          {"3,6,11,13,23", "V1"},
          {"5,7,25,32,33", "D"},
          {"8,16,18,21,22,24,26,27,30", "D"},
          {"9,10,14,15,17,19,20,29,31", "D"},
          {"12,28", "D"},
          {"34,35", "V2"}}},
        {"Qwen2.5-7B per-token",
         28,
         468750,
         {{"0", "H1"},
          {"1,2,4,5,25", "D"},
          {"3,13,27", "H2"},
          {"6,19", "D"},
          {"7,10,11,15,23", "D"},
          {"8,24", "D"},
          {"9,12,16-18,21,22,26", "D"},
          {"14,20", "D"}}},
        {"Qwen2.5-7B KIVI",
         28,
         78125,
         {{"0,2", "V2"},
          {"1,3", "V2"},
          {"4,5,12,22-25", "D"},
          {"6", "V1"},
          {"7,9,10,13,14,16,18-21,27", "D"},
          {"8,26", "D"},
          {"11,15,17", "D"}}}};
    return all;
}

// Plants a row for each layer: the group's row moved by 0.06 per group in the KV2 error, which keeps the candidate set, and
// by up to 0.04 inside a group, in steps that only chain together.
SensitivityTable table_of(const Published & p) {
    SensitivityTable table = planted_table(p.n_layer, {});
    for (size_t g = 0; g < p.groups.size(); ++g) {
        const std::vector<int> layers = layer_list(p.groups[g].first);
        for (size_t i = 0; i < layers.size(); ++i) {
            ErrorRow row = planted_row(p.groups[g].second).e_o;
            row[8] += 0.06 * static_cast<double>(g + 1);
            row[8] += 0.004 * static_cast<double>(i % 3);
            table.layers[static_cast<size_t>(layers[i])].e_o = row;
        }
    }
    return table;
}

TEST(Cluster, PublishedGroupsAndSearchSpaces) {
    for (const Published & p : published()) {
        const SensitivityTable table  = table_of(p);
        const auto             groups = cluster(table, prune(table));
        ASSERT_TRUE(groups.ok()) << p.model;
        ASSERT_EQ(groups->groups.size(), p.groups.size()) << p.model;
        for (size_t g = 0; g < p.groups.size(); ++g) {
            EXPECT_EQ(groups->groups[g].layers, layer_list(p.groups[g].first)) << p.model << " group " << g;
            EXPECT_EQ(groups->groups[g].pairs, planted_row(p.groups[g].second).kept) << p.model << " group " << g;
        }
        EXPECT_EQ(search_space(*groups), p.size) << p.model;
    }
}

// Two layers whose KV2 error differs by `delta`, all else equal.
Result<LayerGroups> two_layers(double delta, double eps = kClusterEps) {
    SensitivityTable table = planted_table(2, {});
    table.layers[1].e_o[8] += delta;
    return cluster(table, prune(table), eps);
}

TEST(Cluster, DistanceUpToEpsJoins) {
    EXPECT_EQ(two_layers(0.0499)->groups.size(), 1u);
    EXPECT_EQ(two_layers(0.0501)->groups.size(), 2u);
    EXPECT_EQ(two_layers(0.49, 0.5)->groups.size(), 1u);
    EXPECT_EQ(two_layers(0.0, 0.0)->groups.size(), 1u);
}

TEST(Cluster, DistanceIsEuclideanOverCandidatesOnly) {
    SensitivityTable table = planted_table(2, {});
    for (const int p : {0, 1, 4, 5, 8}) table.layers[1].e_o[static_cast<size_t>(p)] += 0.02;  // sqrt(5) * 0.02 = 0.0447
    EXPECT_EQ(cluster(table, prune(table))->groups.size(), 1u);
    for (const int p : {0, 1, 4, 5, 8}) table.layers[1].e_o[static_cast<size_t>(p)] += 0.003;  // sqrt(5) * 0.023 = 0.0514
    EXPECT_EQ(cluster(table, prune(table))->groups.size(), 2u);
    table = planted_table(2, {});
    table.layers[1].e_o[6] += 0.5;  // K2V8 is not a candidate
    EXPECT_EQ(cluster(table, prune(table))->groups.size(), 1u);
}

TEST(Cluster, WithoutClusteringEveryLayerIsAGroup) {
    const SensitivityTable table  = planted_table(4, {});
    const auto             groups = cluster(table, prune(table), kClusterEps, Clustering::none);
    ASSERT_EQ(groups->groups.size(), 4u);
    for (int l = 0; l < 4; ++l) EXPECT_EQ(groups->groups[static_cast<size_t>(l)].layers, std::vector<int>{l});
    EXPECT_EQ(search_space(*groups), 625);
}

TEST(Cluster, ChainsJoinAndSetsDoNotMix) {
    SensitivityTable table = planted_table(4, {});
    for (size_t l = 0; l < 4; ++l) table.layers[l].e_o[8] += 0.04 * static_cast<double>(l);  // ends 0.12 apart
    EXPECT_EQ(cluster(table, prune(table))->groups.size(), 1u);
    table                  = planted_table(2, {});
    table.layers[0].e_o[1] = table.layers[0].e_o[3] + 0.001;  // now K4V8 survives instead of K8V4, at a distance below eps
    table.layers[1].e_o[1] = table.layers[1].e_o[3] - 0.001;
    EXPECT_EQ(cluster(table, prune(table), 10.0)->groups.size(), 2u);
}

TEST(Cluster, MeanErrorOfEachPair) {
    const auto groups = two_layers(0.04);
    ASSERT_EQ(groups->groups.size(), 1u);
    ASSERT_EQ(groups->groups[0].e_o.size(), 5u);
    EXPECT_DOUBLE_EQ(groups->groups[0].e_o[0], 0.014);
    EXPECT_DOUBLE_EQ(groups->groups[0].e_o[4], 0.962 + 0.02);
}

TEST(Cluster, RefusesWhatDoesNotBelongTogether) {
    const SensitivityTable table = planted_table(3, {});
    CandidateSets          sets  = prune(table);
    sets.model.name              = "another";
    const auto other             = cluster(table, sets);
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("another"), std::string::npos) << other.error().message;

    sets      = prune(table);
    sets.mode = Mode::per_token_asym;
    EXPECT_FALSE(cluster(table, sets).ok());
    sets = prune(table);
    sets.layers.pop_back();
    EXPECT_FALSE(cluster(table, sets).ok());
    sets = prune(table);
    sets.layers[1].pairs.clear();
    EXPECT_FALSE(cluster(table, sets).ok());
    const auto negative = cluster(table, prune(table), -0.1);
    ASSERT_FALSE(negative.ok());
    EXPECT_NE(negative.error().message.find("-0.1"), std::string::npos);
}

// Random tables: every layer in exactly one group, one candidate set a group, groups numbered by smallest layer, members within
// eps of some other member, layers of different groups with equal sets farther than eps.
TEST(Cluster, InvariantsOnRandomTables) {
    SplitMix64 rng(11);
    for (int round = 0; round < 200; ++round) {
        SensitivityTable table = planted_table(24, {});
        for (LayerErrors & layer : table.layers) {
            layer.e_o = planted_rows()[rng.below(3)].e_o;
            for (double & e : layer.e_o) e += 0.05 * rng.uniform();
        }
        const CandidateSets sets   = prune(table);
        const auto          groups = cluster(table, sets);
        ASSERT_TRUE(groups.ok());
        std::vector<int> group_of(24, -1);
        int              last_first = -1;
        for (size_t g = 0; g < groups->groups.size(); ++g) {
            const LayerGroup & group = groups->groups[g];
            EXPECT_TRUE(std::is_sorted(group.layers.begin(), group.layers.end()));
            EXPECT_GT(group.layers.front(), last_first);
            last_first = group.layers.front();
            for (const int l : group.layers) {
                EXPECT_EQ(group_of[static_cast<size_t>(l)], -1);
                group_of[static_cast<size_t>(l)] = static_cast<int>(g);
                EXPECT_EQ(sets.layers[static_cast<size_t>(l)].pairs, group.pairs);
            }
        }
        for (size_t a = 0; a < 24; ++a) {
            ASSERT_GE(group_of[a], 0);
            bool has_neighbour = false;
            for (size_t b = 0; b < 24; ++b) {
                if (a == b || sets.layers[a].pairs != sets.layers[b].pairs) continue;
                double sum = 0;
                for (const int p : sets.layers[a].pairs) {
                    const double d = table.layers[a].e_o[static_cast<size_t>(p)] - table.layers[b].e_o[static_cast<size_t>(p)];
                    sum += d * d;
                }
                if (std::sqrt(sum) <= kClusterEps) {
                    EXPECT_EQ(group_of[a], group_of[b]);
                    has_neighbour = true;
                }
            }
            EXPECT_EQ(has_neighbour, groups->groups[static_cast<size_t>(group_of[a])].layers.size() > 1);
        }
    }
}

}  // namespace
}  // namespace kvt::testing
