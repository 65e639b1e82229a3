#include "kvt/harness/summary.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

ItemLine line(const std::string & item, int sample, double score) {
    ItemLine l;
    l.item = item, l.sample = sample, l.finish = "eog", l.scores = {{"exact", score}}, l.new_tokens = 10;
    return l;
}

TEST(Summary, AveragesInsideItemsFirst) {
    std::vector<ItemLine> lines{line("a", 0, 1), line("a", 1, 0), line("a", 2, 1),
                                line("a", 3, 1), line("b", 0, 0), line("b", 1, 0)};
    const auto            values = item_values(lines, "exact");
    ASSERT_EQ(values.size(), 2u);
    EXPECT_EQ(values[0].value, 0.75);
    const RunSummary s = summarize(lines);
    EXPECT_EQ(s.n_items, 2);
    EXPECT_EQ(s.n_answers, 6);
    EXPECT_EQ(s.scores[0].score.mean, 0.375);
    EXPECT_EQ(s.new_tokens, 60);
}

TEST(Summary, ErrorsAreWrongAndUnscoredAnswersAreLeftOut) {
    std::vector<ItemLine> lines{line("a", 0, 1), line("b", 0, 1), line("c", 0, 1), line("d", 0, 1)};
    lines[1].scores.clear(), lines[1].error = "context_overflow";
    lines[2].scores.clear();  // code without consent
    lines[3].finish = "length", lines[3].flags = {"no_answer"};
    const RunSummary s = summarize(lines);
    EXPECT_EQ(s.scores[0].score.n, 3);
    EXPECT_NEAR(s.scores[0].score.mean, 2.0 / 3, 1e-12);
    EXPECT_EQ(s.n_error, 1);
    EXPECT_EQ(s.n_unscored, 1);
    EXPECT_EQ(s.n_length, 1);
    EXPECT_EQ(s.n_no_answer, 1);
    lines[0].scores = {{kLogLikelihood, -0.5}};
    EXPECT_EQ(item_values(lines, kLogLikelihood).size(), 1u) << "an error has no likelihood";
}

// Four answers each: of a 3 are right, of b none, of c one is an error.
TEST(Summary, SeveralAnswersGiveAvgAndPass) {
    std::vector<ItemLine> lines{line("a", 0, 1), line("a", 1, 0), line("a", 2, 1), line("a", 3, 1),
                                line("b", 0, 0), line("b", 1, 0), line("b", 2, 0), line("b", 3, 0),
                                line("c", 0, 1), line("c", 1, 1), line("c", 2, 0), line("c", 3, 0)};
    lines[11].scores.clear(), lines[11].error = "decoding failed";
    const RunSummary s = summarize(lines);
    ASSERT_EQ(s.samples.size(), 3u);
    EXPECT_EQ(s.samples[0].name, "avg@4");
    EXPECT_NEAR(s.samples[0].value.mean, (0.75 + 0 + 0.5) / 3, 1e-12);
    EXPECT_EQ(s.samples[1].name, "pass@2");
    EXPECT_NEAR(s.samples[1].value.mean, (1.0 + 0 + (1 - 1.0 / 6)) / 3, 1e-12);  // c: 1 - C(2,2) / C(4,2)
    EXPECT_EQ(s.samples[2].name, "pass@4");
    EXPECT_NEAR(s.samples[2].value.mean, 2.0 / 3, 1e-12);
    EXPECT_EQ(s.samples[2].score, "exact");
    EXPECT_TRUE(s.samples[2].value.interval.has_value());
    EXPECT_EQ(to_json(s)["samples"][1]["name"], "pass@2");

    lines.erase(lines.begin() + 1);  // an item with three answers bounds k
    EXPECT_EQ(summarize(lines).samples.back().name, "pass@3");
    EXPECT_TRUE(summarize(std::vector<ItemLine>{lines[0], lines[3]}).samples.empty()) << "one answer an item is no sample";
    lines[0].scores = {{"exact", 0.5}};
    EXPECT_TRUE(summarize(lines).samples.empty()) << "half right is neither right nor wrong";
}

TEST(Summary, BreaksDownByGroup) {
    std::vector<ItemLine> lines{line("a", 0, 1), line("b", 0, 0), line("c", 0, 1)};
    lines[0].groups = lines[1].groups = {{"level", "1"}};
    lines[2].groups                   = {{"level", "2"}};
    const RunSummary s                = summarize(lines);
    ASSERT_EQ(s.groups.size(), 2u);
    EXPECT_EQ(s.groups[0].headline.score.mean, 0.5);
    EXPECT_EQ(to_json(s)["groups"][1]["value"], "2");
    EXPECT_TRUE(to_json(s)["groups"][1]["se"].is_null());
    EXPECT_TRUE(summarize({}).scores.empty());
}

}  // namespace
}  // namespace kvt
