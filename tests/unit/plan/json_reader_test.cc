#include "kvt/plan/json_reader.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

std::string parse_error(std::string_view text, size_t max_bytes = 1000, int max_depth = 8) {
    const auto json = parse_strict_json(text, max_bytes, max_depth);
    return json.ok() ? "" : json.error().message;
}

TEST(StrictJson, KeepsValues) {
    const auto json = parse_strict_json(R"({"a": [1, -2, 2.5, true, null, "x"], "b": {"c": {}}})", 1000, 8);
    ASSERT_TRUE(json.ok()) << json.error().message;
    EXPECT_EQ(json->dump(), R"({"a":[1,-2,2.5,true,null,"x"],"b":{"c":{}}})");
}

TEST(StrictJson, NamesTheDuplicateKey) {
    EXPECT_EQ(parse_error(R"({"a": 1, "a": 2})"), "/a: duplicate key");
    EXPECT_EQ(parse_error(R"({"x": [{"k": 1}, {"b/c": 1, "b/c": 1}]})"), "/x/1/b~1c: duplicate key");
    EXPECT_EQ(parse_error(R"([{"a": 1}, {"a": 1}])"), "");
}

TEST(StrictJson, BoundsDepthAndSize) {
    EXPECT_EQ(parse_error("[[[[[[[[]]]]]]]]"), "");
    EXPECT_EQ(parse_error("[[[[[[[[[]]]]]]]]]"), "/0/0/0/0/0/0/0: nested more than 8 deep");
    EXPECT_EQ(parse_error(std::string(500, '['), 1000, 8).find("nested more than 8 deep") != std::string::npos, true);
    EXPECT_EQ(parse_error("[1, 2, 3]", 8), "9 bytes of text, more than the 8 allowed");
}

TEST(StrictJson, SaysWhereTheTextBreaks) {
    EXPECT_EQ(parse_error("{\n  \"a\": nul\n}"), "line 2, column 10: not valid JSON near \"  \"a\": nul\"");
    EXPECT_EQ(parse_error("{} x"), "line 1, column 4: not valid JSON near \"{} x\"");
    EXPECT_EQ(parse_error("[1e999]"), "line 1, column 6: not valid JSON near \"[1e999\"");
    EXPECT_EQ(parse_error("[1, 2"), "line 1, column 5: not valid JSON that ends after \"[1, 2\"");
    EXPECT_EQ(parse_error(""), "the text is empty");
    for (const char * text : {"{", "[1,]", "NaN", "[Infinity]", "{\"a\" 1}", "'a'", "\"\xff\"", "[01]", "// c\n1"}) {
        EXPECT_NE(parse_error(text).find("not valid JSON"), std::string::npos) << text << ": " << parse_error(text);
    }
}

TEST(ObjectReader, KeepsTheFirstComplaint) {
    const auto json = nlohmann::json::parse(
        R"({"n": "seven", "x": 1.5, "big": 18446744073709551615, "neg": -1, "list": [], "x_mine": 0, "extra": 1})");
    const auto complaint_of = [&](auto && use) {
        Complaint    complaint;
        ObjectReader object(json, "/at", complaint);
        use(object);
        return complaint.text();
    };
    EXPECT_EQ(complaint_of([](ObjectReader & o) {
                  o.integer("n", 1, 9);
                  o.text("gone");
              }),
              "/at/n: expected a whole number in 1..9, found \"seven\"");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.integer("x", 0, 9); }), "/at/x: expected a whole number in 0..9, found 1.5");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.integer("big", 0, INT64_MAX); }),
              "/at/big: expected a whole number in 0..9223372036854775807, found 18446744073709551615");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.unsigned64("neg"); }),
              "/at/neg: expected a whole number of at most 64 bits, not negative, found -1");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.text("list"); }), "/at/list: expected a text, found an array");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.object("list"); }), "/at/list: expected an object, found an array");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.array("n"); }), "/at/n: expected an array, found \"seven\"");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { o.boolean("gone"); }), "/at: \"gone\" is missing");
    EXPECT_EQ(complaint_of([](ObjectReader & o) { EXPECT_EQ(o.unsigned64("big"), UINT64_MAX); }), "");
}

TEST(ObjectReader, RefusesKeysNobodyAskedFor) {
    const auto   json = nlohmann::json::parse(R"({"a": 1, "x_note": {"any": "thing"}, "b~c": 2})");
    Complaint    complaint;
    ObjectReader object(json, "", complaint);
    EXPECT_EQ(object.integer("a", 0, 5), 1);
    object.refuse_other_keys();
    EXPECT_EQ(complaint.text(), "/b~0c: unknown key (only keys that begin with x_ are free)");
}

TEST(Shown, IsShortAndPrintable) {
    EXPECT_EQ(shown(std::string(100, 'a')), std::string(40, 'a') + "...");
    EXPECT_EQ(shown("a\nb\x01\xff"), "a?b??");
}

}  // namespace
}  // namespace kvt
