#include "kvt/base/progress.h"

#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace kvt {
namespace {

TEST(Progress, TheSilentOneTakesEverything) {
    no_progress().begin("stage", 3);
    no_progress().done(3);
    no_progress().note("text");
    no_progress().end();
}

// In a child: the flag is for the life of a process.
TEST(Interrupt, FirstSignalSetsTheFlagSecondEndsTheProcess) {
    for (const int signal : {SIGINT, SIGTERM}) {
        const pid_t child = ::fork();
        if (child == 0) {
            install_interrupt_handler();
            if (interrupted()) ::_exit(1);
            ::raise(signal);
            ::raise(signal);  // one Ctrl-C may be delivered twice
            if (!interrupted()) ::_exit(2);
            ::usleep(400'000);
            ::raise(signal);
            ::_exit(3);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 130);
    }
    EXPECT_FALSE(interrupted());
}

}  // namespace
}  // namespace kvt
