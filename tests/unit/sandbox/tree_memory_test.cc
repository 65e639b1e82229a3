#include "kvt/sandbox/tree_memory.h"

#include <csignal>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kvt {
namespace {

constexpr size_t kHeld = size_t{48} << 20;

// A child that holds its own kHeld bytes, says so, and waits to be killed; with `depth` it is a grandchild.
pid_t holder(int depth) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        for (int i = 0; i < depth; ++i) {
            if (const pid_t next = ::fork(); next != 0) {
                ::waitpid(next, nullptr, 0);
                ::_exit(0);
            }
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        }
        std::vector<char> held(kHeld);
        std::memset(held.data(), 1, held.size());
        if (::write(ready[1], "x", 1) == 1) ::pause();
        ::_exit(held[7]);
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    return pid;
}

TEST(TreeMemory, SumsAProcessAndItsDescendants) {
    const pid_t group = ::getpid();
    ASSERT_FALSE(tree_holds_more(group, uint64_t{1} << 40));
    const pid_t child = holder(0);
    EXPECT_TRUE(tree_holds_more(child, kHeld / 2));
    EXPECT_FALSE(tree_holds_more(child, 4 * kHeld));
    const pid_t parent = holder(2);  // what is held is held by a grandchild
    EXPECT_TRUE(tree_holds_more(parent, kHeld / 2));
    EXPECT_TRUE(tree_holds_more(group, 2 * kHeld - kHeld / 4)) << "both trees hang on this process";
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_FALSE(tree_holds_more(child, 0)) << "one that is gone holds nothing";
    ::kill(parent, SIGKILL);  // those below die with it
    ::waitpid(parent, nullptr, 0);
}

}  // namespace
}  // namespace kvt
