#include "kvt/tasks/code/pass_at_k.h"

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(PassAtK, WorkedValues) {
    EXPECT_NEAR(pass_at_k(10, 3, 2), 0.533333, 5e-7);  // evaluation.md section 6.5
    EXPECT_DOUBLE_EQ(pass_at_k(10, 3, 1), 0.3);
    EXPECT_EQ(pass_at_k(10, 0, 5), 0);
    EXPECT_EQ(pass_at_k(10, 10, 1), 1);
    EXPECT_EQ(pass_at_k(10, 6, 5), 1);  // fewer wrong ones than k
    EXPECT_NEAR(pass_at_k(200, 1, 100), 0.5, 1e-12);
}

}  // namespace
}  // namespace kvt
