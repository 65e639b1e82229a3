#include "kvt/base/file_lock.h"

#include <optional>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvt/base/file_io.h"

namespace kvt::testing {
namespace {

std::string path() { return ::testing::TempDir() + "kvt_lock_" + std::to_string(::getpid()); }

TEST(FileLock, OneHolderAtATime) {
    const std::string       at = path();
    std::optional<FileLock> first(FileLock::take(at).value());
    const auto              second = FileLock::take(at);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().message,
              at + " is being written by another kvtuner: wait until it has finished, or choose another output");
    EXPECT_TRUE(file_exists(at + ".lock"));
    first.reset();
    EXPECT_FALSE(file_exists(at + ".lock"));
    EXPECT_TRUE(FileLock::take(at).ok());
}

TEST(FileLock, HoldsAgainstAnotherProcessAndDiesWithIt) {
    const std::string at = path();
    int               ready[2], go[2];
    ASSERT_EQ(::pipe(ready) + ::pipe(go), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto held = FileLock::take(at);
        char       c    = held.ok() ? 'y' : 'n';
        (void)!::write(ready[1], &c, 1);
        (void)!::read(go[0], &c, 1);
        ::_exit(0);  // without the destructor: the file stays behind
    }
    char c = 0;
    ASSERT_EQ(::read(ready[0], &c, 1), 1);
    EXPECT_EQ(c, 'y');
    EXPECT_FALSE(FileLock::take(at).ok());
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(file_exists(at + ".lock"));
    EXPECT_TRUE(FileLock::take(at).ok()) << "a lock file that a dead process left does not block";
}

TEST(FileLock, UnwritableFolder) { EXPECT_FALSE(FileLock::take("/nonexistent/study.json").ok()); }

}  // namespace
}  // namespace kvt::testing
