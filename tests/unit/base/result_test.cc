#include "kvt/base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace kvt {
namespace {

Result<int> half(int x) {
    if (x % 2 != 0) return Error{"odd: " + std::to_string(x)};
    return x / 2;
}

Result<int> quarter(int x) {
    KVT_TRY(const int h, half(x));
    KVT_TRY(const int q, half(h));
    return q;
}

Status check(int x) {
    KVT_CHECK_OK(quarter(x));
    return ok_status();
}

TEST(Result, TryBindsValuesAndReturnsTheFirstError) {
    EXPECT_EQ(*quarter(12), 3);
    EXPECT_EQ(quarter(3).error().message, "odd: 3");
    EXPECT_EQ(quarter(6).error().message, "odd: 3");
    EXPECT_TRUE(check(8).ok());
    EXPECT_EQ(check(5).error().message, "odd: 5");
}

TEST(Result, HoldsMoveOnlyValues) {
    Result<std::unique_ptr<int>> result(std::make_unique<int>(4));
    const std::unique_ptr<int>   value = std::move(result).value();
    EXPECT_EQ(*value, 4);
}

}  // namespace
}  // namespace kvt
