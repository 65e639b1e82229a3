#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/engine/llama/plugin.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;

class WithVariable {
public:
    explicit WithVariable(const char * value) { ::setenv("KVT_PLUGIN", value, 1); }
    ~WithVariable() { ::unsetenv("KVT_PLUGIN"); }
};

TEST(FindPlugin, VariableNamesAFileOrIsAnError) {
    const WithVariable wrong("/nowhere/plugin.so");
    ASSERT_FALSE(find_plugin().ok());
    EXPECT_THAT(find_plugin().error().message, HasSubstr("KVT_PLUGIN=/nowhere/plugin.so is not a file"));
    const WithVariable right("/proc/self/exe");
    EXPECT_EQ(*find_plugin(), "/proc/self/exe");
}

TEST(LoadPlugin, WhatIsNotALibraryOfOursIsRefused) {
    EXPECT_THAT(load_plugin("/nowhere/plugin.so").error().message, HasSubstr("/nowhere/plugin.so is not a file"));
    const auto text_file = load_plugin(std::string(KVT_TEST_ROOT) + "/data/stories260K/LICENSE");
    ASSERT_FALSE(text_file.ok());
    EXPECT_THAT(text_file.error().message, HasSubstr("cannot load plugin"));
}

}  // namespace
}  // namespace kvt
