#include "kvt/kernels/isa.h"

#include <gtest/gtest.h>

#include "kvt/kernels/kernel_table.h"
#include "kvt/kernels/self_test.h"

namespace kvt {
namespace {

TEST(Isa, DefaultIsTheBestAvailable) {
    const auto chosen = choose_isa(nullptr);
    ASSERT_TRUE(chosen.ok());
    EXPECT_EQ(*chosen, available_isas().back());
    EXPECT_EQ(*choose_isa(""), available_isas().back());
}

TEST(Isa, EveryAvailableOneCanBeForced) {
    for (const Isa isa : available_isas()) {
        const auto chosen = choose_isa(std::string(isa_name(isa)).c_str());
        ASSERT_TRUE(chosen.ok());
        EXPECT_EQ(*chosen, isa);
        ASSERT_NE(kernel_table(isa), nullptr);
        EXPECT_EQ(kernel_table(isa)->isa, isa);
    }
}

TEST(Isa, UnknownNamesAreRefusedWithTheChoices) {
    const auto chosen = choose_isa("avx9000");
    ASSERT_FALSE(chosen.ok());
    EXPECT_NE(chosen.error().message.find("avx9000"), std::string::npos);
    EXPECT_NE(chosen.error().message.find("scalar"), std::string::npos);
}

TEST(SelfTest, EveryKernelPassesHere) {
    const auto lines = run_self_test();
    EXPECT_GE(lines.size(), 50u * available_isas().size());
    for (const auto & line : lines) EXPECT_TRUE(line.ok) << line.kernel << ": " << line.detail;
}

}  // namespace
}  // namespace kvt
