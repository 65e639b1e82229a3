#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/recipes/yaml_tree.h"

namespace kvt::recipes {
namespace {

TEST(YamlTree, BlockAndFlowAreTheSame) {
    for (const char * text : {"a:\n  b: 1\nc: 2\n", "{a: {b: 1}, c: 2}", "# comment\n---\na: {b: 1}\nc: 2\n...\n"}) {
        const auto root = parse_yaml_map(text);
        ASSERT_TRUE(root.ok()) << root.error().message;
        ASSERT_EQ(root->keys.size(), 2u);
        EXPECT_EQ(root->values[0].values.at(0).text, "1");
        EXPECT_EQ(root->values[1].text, "2");
    }
}

TEST(YamlTree, RefusesEverythingElseWithItsLine) {
    const struct {
        const char *text, *error;
    } cases[] = {
        {"", "empty, where a map belongs"},
        {"3\n", "line 1: a single value, where a map belongs"},
        {"a: 1\na: 2\n", "line 2: \"a\" is given twice"},
        {"a: [1]\n", "line 1: a list, where a map or a number belongs"},
        {"a: &x 1\n", "line 1: an anchor"},
        {"a: !!int 1\n", "line 1: the tag \"tag:yaml.org,2002:int\""},
        {"a: \"1\"\n", "line 1: \"1\" is quoted, a plain number belongs here"},
        {"a:\n", "line 2: an empty value"},
        {"a: 1\n---\nb: 1\n", "line 2: a second document"},
        {"{a: {b: {c: {d: {e: 1}}}}}\n", "line 1: more than 4 levels"},
        {"? {a: 1}\n: 2\n", "line 1: a map as a key"},
    };
    for (const auto & c : cases) {
        const auto root = parse_yaml_map(c.text);
        EXPECT_EQ(root.ok() ? "no error" : root.error().message, c.error) << c.text;
    }
    EXPECT_NE(parse_yaml_map("a: *x\n").error().message.find("not valid YAML"), std::string::npos);
    EXPECT_FALSE(parse_yaml_map("a: {b\n").ok());
    EXPECT_NE(parse_yaml_map(std::string(5 << 20, 'a')).error().message.find("more than the"), std::string::npos);
}

TEST(YamlTree, BrokenTextIsAnErrorNeverACrash) {
    const std::string whole = "0: {nbits_key: 8, nbits_value: 8}\n1:\n  nbits_key: 4\n  nbits_value: 2\n";
    SplitMix64        rng(4);
    for (int round = 0; round < 2000; ++round) {
        std::string text = whole;
        for (uint64_t n = 1 + rng.below(4); n > 0; --n) text[rng.below(text.size())] = static_cast<char>(rng.below(256));
        const auto root = parse_yaml_map(text.substr(0, rng.below(text.size() + 1)));
        EXPECT_TRUE(root.ok() || !root.error().message.empty());
    }
    EXPECT_FALSE(parse_yaml_map(std::string(100000, '{')).ok());
    EXPECT_FALSE(parse_yaml_map(std::string(100000, '[')).ok());
}

}  // namespace
}  // namespace kvt::recipes
