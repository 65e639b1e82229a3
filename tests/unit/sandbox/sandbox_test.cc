#include "kvt/sandbox/sandbox.h"

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sandbox.h"

namespace kvt {
namespace {

using End = SandboxOutcome::End;
using ::testing::HasSubstr;

SandboxProgram program(const std::string & text, const std::string & input = "", double seconds = 20) {
    SandboxProgram out;
    out.files        = {{"main.py", text}};
    out.input        = input;
    out.wall_seconds = seconds;
    return out;
}

TEST(Sandbox, GivesInputFilesAndTakesOutputErrorsAndExitCode) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    SandboxProgram echo = program(
        "import sys\nsys.stdout.write(sys.stdin.read()[::-1] + open('/program/more.txt').read())\n"
        "sys.stderr.write('a word')\nsys.exit(7)\n",
        std::string("abc\0d\xc3\xa9", 7));
    echo.files.push_back({"more.txt", "and more"});
    const auto run = sandbox->run(echo);
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->end, End::exited);
    EXPECT_EQ(run->exit_code, 7);
    EXPECT_EQ(run->output, std::string("\xc3\xa9"
                                       "d\0cba",
                                       7) +
                               "and more");
    EXPECT_EQ(run->errors, "a word");

    const auto killed = sandbox->run(program("import os\nos.kill(os.getpid(), 11)\n"));
    ASSERT_TRUE(killed.ok()) << killed.error().message;
    EXPECT_EQ(killed->exit_code, 128 + 11);
}

TEST(Sandbox, KeepsTheBeginningOfEndlessOutputAndTheEndOfErrors) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    SandboxProgram endless = program("print('first')\nwhile True: print('x' * 1000)\n");
    endless.output_bytes   = 100000;
    const auto run         = sandbox->run(endless);
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->end, End::output_limit);
    EXPECT_EQ(run->output.size(), 100000u);
    EXPECT_EQ(run->output.substr(0, 6), "first\n");

    const auto loud = sandbox->run(program("import sys\nsys.stderr.write('x' * 100000 + 'last')\n"));
    ASSERT_TRUE(loud.ok()) << loud.error().message;
    EXPECT_EQ(loud->errors.size(), 4096u);
    EXPECT_TRUE(loud->errors.ends_with("xlast"));
}

TEST(Sandbox, EndsAProgramThatSleepsAndOneThatIgnoresSignals) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    for (const char * text : {"import time\nwhile True: time.sleep(1)\n",
                              "import signal\nfor n in (1, 2, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass\n"}) {
        const auto run = sandbox->run(program(text, "", 0.3));
        ASSERT_TRUE(run.ok()) << run.error().message;
        EXPECT_EQ(run->end, End::time_limit) << text;
    }
}

// 6 x 64 MiB, each far below the limit of a process; the copies that fork makes of one array count once.
TEST(Sandbox, EndsAProgramWhoseProcessesTogetherTakeTooMuch) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    SandboxProgram many = program(R"(
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = b'x' * (64 << 20)
        time.sleep(60)
time.sleep(60)
)");
    many.memory_bytes   = uint64_t{200} << 20;
    const auto run      = sandbox->run(many);
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->end, End::memory_limit);

    SandboxProgram shared = program(R"(
import os, time
held = b'x' * (64 << 20)
for _ in range(6):
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)
for _ in range(6): os.wait()
print('done')
)");
    shared.memory_bytes   = uint64_t{200} << 20;
    const auto fine       = sandbox->run(shared);
    ASSERT_TRUE(fine.ok()) << fine.error().message;
    EXPECT_EQ(fine->end, End::exited);
    EXPECT_EQ(fine->output, "done\n");
}

// A lower bound on time, which no load can break: two runs of 0.5 s.
TEST(Sandbox, RepeatsATimeOutBesideOthersOnceAlone) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    std::thread company([&] {
        const auto run = sandbox->run(program("import time\ntime.sleep(3)\n"));
        EXPECT_TRUE(run.ok() && run->end == End::exited);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto started = std::chrono::steady_clock::now();
    const auto run     = sandbox->run(program("while True: pass\n", "", 0.5));
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    company.join();
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->end, End::time_limit);
    EXPECT_GE(seconds, 1.0);
}

TEST(Sandbox, SaysWhatIsMissingInsteadOfScoring) {
    const Sandbox none(SandboxTools{"/nowhere/bwrap", "/usr/bin/prlimit", "/usr/bin/python3"});
    const auto    run = none.run(program("print(1)"));
    ASSERT_FALSE(run.ok());
    EXPECT_THAT(run.error().message, HasSubstr("bwrap could not set up the sandbox (No such file or directory)"));
    EXPECT_THAT(run.error().message, HasSubstr("kernel.unprivileged_userns_clone=1"));

    const Sandbox silent(SandboxTools{"/usr/bin/true", "/usr/bin/prlimit", "/usr/bin/python3"});
    ASSERT_FALSE(silent.run(program("print(1)")).ok());

    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto tools = find_sandbox_tools();
    ASSERT_TRUE(tools.ok());
    const Sandbox no_python(SandboxTools{tools->bwrap, tools->prlimit, "/usr/bin/no-such-python"});
    const auto    rc = no_python.run(program("print(1)"));
    EXPECT_TRUE(!rc.ok() || rc->exit_code != 0);
}

}  // namespace
}  // namespace kvt
