#include "kvt/harness/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/harness/summary.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;

TaskRecord record(const std::string & name, const std::vector<double> & scores) {
    TaskRecord r;
    r.path    = name + ".jsonl";
    r.header  = Json{{"task", "fake"}, {"seed", 1}, {"samples", 1}, {"plan", {{"name", name}}}};
    r.summary = Json{{"n", scores.size()}};
    for (size_t i = 0; i < scores.size(); ++i) {
        ItemLine l;
        l.item          = std::to_string(i);
        l.prompt_sha256 = "p" + l.item;
        l.gold          = "18";
        l.extracted     = scores[i] == 1 ? "18" : "17";
        l.response      = "It is " + l.extracted;
        l.scores        = {{"exact", scores[i]}};
        r.lines.push_back(std::move(l));
    }
    return r;
}

TEST(CompareRecords, ListsTheItemsThatChanged) {
    const TaskRecord a = record("f16", {1, 1, 0, 0, 1}), b = record("KV4", {1, 0, 0, 1, 0});
    const auto       c = compare_records(a, b);
    ASSERT_TRUE(c.ok()) << c.error().message;
    EXPECT_EQ(c->first, "f16");
    EXPECT_EQ(c->n_answers, 5);
    EXPECT_EQ(c->n_same_text, 2);
    ASSERT_EQ(c->flips.size(), 3u);
    EXPECT_EQ(c->flips[0].first->item, "1");
    EXPECT_EQ(c->flips[0].second->extracted, "17");
    EXPECT_EQ(c->scores[0].paired.only_first, 2);
    EXPECT_EQ(c->scores[0].paired.only_second, 1);
    const Json j = to_json(*c, 0.01);
    EXPECT_EQ(j["flips"][0]["candidate"]["response"], "It is 17");
    EXPECT_EQ(j["scores"]["exact"]["equivalent"], false);
    EXPECT_EQ(j["scores"]["exact"]["mcnemar_p"], 1.0);
    EXPECT_EQ(to_json(*c, 1.0)["scores"]["exact"]["equivalent"], true);
}

TEST(CompareRecords, SameQuestionsAreThoseOfOneHeader) {
    const TaskRecord a = record("f16", {1, 1}), b = record("KV4", {0, 0});
    EXPECT_TRUE(same_questions(a, b));
    for (const char * field : {"task", "seed", "prompts_sha256"}) {
        TaskRecord other    = b;
        other.header[field] = "other";
        EXPECT_FALSE(same_questions(a, other)) << field;
    }
}

TEST(CompareRecords, OrderOfLinesDoesNotMatter) {
    const TaskRecord a = record("f16", {1, 1, 0});
    TaskRecord       b = record("KV4", {1, 1, 0});
    std::reverse(b.lines.begin(), b.lines.end());
    EXPECT_TRUE(compare_records(a, b)->flips.empty());
    EXPECT_EQ(compare_records(a, b)->scores[0].paired.difference, 0);
}

TEST(CompareRecords, AnErrorIsAFlipOfARightAnswer) {
    const TaskRecord a = record("f16", {1, 1});
    TaskRecord       b = record("KV4", {1, 1});
    b.lines[1].scores.clear();
    b.lines[1].error = "context_overflow";
    EXPECT_EQ(compare_records(a, b)->flips.size(), 1u);
    EXPECT_EQ(compare_records(a, b)->scores[0].second.mean, 0.5);
}

TEST(CompareRecords, OtherItemsPromptsOrSettingsAreRefused) {
    const TaskRecord a       = record("f16", {1, 1, 0});
    const auto       refusal = [&](const TaskRecord & b) { return compare_records(a, b).error().message; };
    EXPECT_THAT(refusal(record("KV4", {1, 1})), HasSubstr("KV4.jsonl lacks item 2"));
    EXPECT_THAT(refusal(record("KV4", {1, 1, 0, 1})), HasSubstr("f16.jsonl lacks item 3"));
    TaskRecord b             = record("KV4", {1, 1, 0});
    b.lines[2].prompt_sha256 = "other";
    EXPECT_THAT(refusal(b), HasSubstr("item 2: the prompts"));
    b                = record("KV4", {1, 1, 0});
    b.header["seed"] = 2;
    EXPECT_THAT(refusal(b), HasSubstr("\"seed\" is 1 and 2"));
    b         = record("KV4", {1, 1, 0});
    b.summary = nullptr;
    EXPECT_THAT(refusal(b), HasSubstr("KV4.jsonl is unfinished"));
}

TEST(CompareRecords, LikelihoodsHaveNoMarginInPoints) {
    TaskRecord a = record("f16", {1, 1, 1}), b = record("KV4", {1, 1, 1});
    for (TaskRecord * r : {&a, &b}) {
        for (ItemLine & l : r->lines) l.scores = {{kLogLikelihood, r == &a ? -0.5 : -0.6}};
    }
    const auto c = compare_records(a, b);
    EXPECT_NEAR(c->scores[0].paired.difference, -0.1, 1e-12);
    EXPECT_FALSE(to_json(*c, 0.01)["scores"][kLogLikelihood].contains("equivalent"));
    EXPECT_TRUE(c->flips.empty());
}

}  // namespace
}  // namespace kvt
