#include "kvt/tasks/code/code_block.h"

#include <string>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(CodeBlock, IsTheTextBetweenTheLastTwoFences) {
    const struct {
        const char *response, *block;  // nullptr: none
    } cases[] = {
        {"Think.\n```python\na = 1\nb = 2\n```\n", "a = 1\nb = 2"},
        {"```\nfirst\n```\nand\n```python\nsecond\n```", "second"},
        {"```\nfirst\n```\nSorry, final:\n```py\nsecond", "Sorry, final:"},  // an unclosed block: the rule counts lines
        {"```\n```", ""},
        {"x ``` y\n\n\n``` z", "\n"},
        {"```python a = 1 ```", nullptr},  // one line, though two fences
        {"no fence", nullptr},
        {"", nullptr},
        {"```\nonly one", nullptr},
        {"<think>```\nwrong\n```</think>\n```\nright\n```", "right"},
        {"```\nwrong\n```</think>", nullptr},
    };
    for (const auto & c : cases) {
        const auto found = last_code_block(c.response);
        ASSERT_EQ(found.has_value(), c.block != nullptr) << c.response;
        if (!found) continue;
        EXPECT_EQ(*found, c.block) << c.response;
    }
}

TEST(CodeBlock, LongResponsesTakeLinearTime) {
    std::string fences;
    for (int i = 0; i < 300000; ++i) fences += "```\n";
    EXPECT_EQ(last_code_block(fences), std::string_view(""));
    EXPECT_EQ(last_code_block(std::string(1 << 20, '`')), std::nullopt);
    EXPECT_EQ(last_code_block(std::string(1 << 20, '{') + std::string("\0\xff", 2)), std::nullopt);
}

TEST(CodeBlock, FindsADefinition) {
    EXPECT_TRUE(defines_function("import x\ndef add(a, b):\n    return a + b", "add"));
    EXPECT_TRUE(defines_function("async def add (a): pass", "add"));
    EXPECT_FALSE(defines_function("def add_all(a): pass", "add"));
    EXPECT_FALSE(defines_function("    def add(a): pass", "add"));
    EXPECT_FALSE(defines_function("    return a + b", "add"));
    EXPECT_FALSE(defines_function("", "add"));
}

}  // namespace
}  // namespace kvt
