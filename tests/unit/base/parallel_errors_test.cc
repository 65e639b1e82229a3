#include "kvt/base/parallel_errors.h"

#include <new>
#include <thread>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(ParallelErrors, TheFirstOfAnyThreadIsThrownAfterwards) {
    ParallelErrors errors;
    int            done = 0;
    std::thread([&] { errors.run([&] { ++done; }); }).join();
    EXPECT_NO_THROW(errors.rethrow());
    std::thread([&] { errors.run([] { throw std::bad_alloc(); }); }).join();
    std::thread([&] { errors.run([] { throw 1; }); }).join();
    errors.run([&] { ++done; });
    EXPECT_EQ(done, 2);
    EXPECT_THROW(errors.rethrow(), std::bad_alloc);
}

}  // namespace
}  // namespace kvt
