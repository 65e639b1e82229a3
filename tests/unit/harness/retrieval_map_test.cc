#include "kvt/harness/retrieval_map.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

ItemLine found(const std::string & item, const std::string & length, const std::string & depth, double score, int sample = 0) {
    ItemLine l;
    l.item = item, l.sample = sample, l.finish = "eog", l.scores = {{"recall", score}};
    l.groups = {{"length", length}, {"depth", depth}};
    return l;
}

TEST(RetrievalMap, OneCellForEveryLengthAndDepth) {
    std::vector<ItemLine> lines{found("0", "8192", "3", 1), found("1", "4096", "3", 0),      found("2", "4096", "0", 1),
                                found("3", "4096", "3", 1), found("4", "4096", "100", 1, 0), found("4", "4096", "100", 0, 1)};
    lines.push_back(found("5", "4096", "100", 0));
    lines.back().scores.clear(), lines.back().error = "context_overflow";
    const auto cells = retrieval_map(lines);
    ASSERT_EQ(cells.size(), 4u);
    EXPECT_EQ(cells[0].length, 4096);
    EXPECT_EQ(cells[0].depth, 0);
    EXPECT_EQ(cells[0].mean, 1);
    EXPECT_EQ(cells[1].depth, 3);
    EXPECT_EQ(cells[1].n, 2);
    EXPECT_EQ(cells[1].mean, 0.5);
    EXPECT_EQ(cells[2].depth, 100);
    EXPECT_EQ(cells[2].n, 2);
    EXPECT_EQ(cells[2].mean, 0.25) << "samples inside an item first";
    EXPECT_EQ(cells[3].length, 8192);
    EXPECT_EQ(to_json(cells)[1].dump(), R"({"length":4096,"depth":3,"n":2,"mean":0.5})");

    const auto tenths = by_tenths(cells);
    ASSERT_EQ(tenths.size(), 3u);
    EXPECT_EQ(tenths[0].depth, 0);
    EXPECT_EQ(tenths[0].n, 3);
    EXPECT_NEAR(tenths[0].mean, 2.0 / 3, 1e-12);
    EXPECT_EQ(tenths[1].depth, 90) << "100 belongs to the last step";
    EXPECT_EQ(tenth_name(tenths[0].depth) + " " + tenth_name(tenths[1].depth), "0-9 90-100");
}

TEST(RetrievalMap, EmptyWithoutDepths) {
    ItemLine line = found("0", "4096", "3", 1);
    line.groups.erase("depth");
    EXPECT_TRUE(retrieval_map(std::vector{line}).empty());
    line.groups["depth"] = "deep";
    EXPECT_TRUE(retrieval_map(std::vector{line}).empty());
    EXPECT_TRUE(retrieval_map({}).empty());
}

}  // namespace
}  // namespace kvt
