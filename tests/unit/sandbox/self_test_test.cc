#include "kvt/sandbox/self_test.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"
#include "support/sandbox.h"

namespace kvt {
namespace {

// Stands for bwrap and hands its arguments on, changed by a line of bash. Untrusted users must be able to run it.
std::string weakened_bwrap(const std::string & name, const std::string & change) {
    namespace fs           = std::filesystem;
    const std::string path = fs::temp_directory_path() / ("kvt_bwrap_" + std::to_string(::getpid()) + "_" + name);
    const std::string text =
        "#!/bin/bash\nkept=()\nfor a in \"$@\"; do " + change + "; kept+=(\"$a\"); done\nexec /usr/bin/bwrap \"${kept[@]}\"\n";
    EXPECT_TRUE(write_file_atomic(path, text).ok());
    fs::permissions(path, fs::perms(0755));
    return path;
}

TEST(SandboxSelfTest, EveryAttackIsHeld) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto rows = sandbox_self_test(*sandbox);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    EXPECT_GE(rows->size(), 16u);
    for (const SelfTestRow & row : *rows) EXPECT_TRUE(row.held) << row.name << ": " << row.found;
}

// A wall is taken away, and the attack on it must get through: the self-test sees what it is for.
TEST(SandboxSelfTest, NoticesEveryMissingWall) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const std::map<std::string, std::pair<std::string, std::string>> planted{
        {"net", {"network", "[ \"$a\" = --unshare-net ] && continue"}},
        {"filter",
         {"kernel interfaces",
          "[ \"$a\" = --seccomp ] && { number=next; continue; }; [ \"$number\" ] && { number=; continue; }"}},
        {"seccomp",
         {"memory of no process",
          "[ \"$a\" = --seccomp ] && { number=next; continue; }; [ \"$number\" ] && { number=; continue; }"}},
        {"root", {"files outside", "[ \"$a\" = --remount-ro ] && a=--dir"}},
        {"folder", {"symbolic link", "[ \"$a\" = --hostname ] && kept+=(--bind /var/tmp /var/tmp)"}},
    };
    const auto tools = find_sandbox_tools();
    ASSERT_TRUE(tools.ok());
    for (const auto & [name, what] : planted) {
        const std::string & wall  = what.first;
        const std::string   bwrap = weakened_bwrap(name, what.second);
        const auto          rows  = sandbox_self_test(Sandbox(SandboxTools{bwrap, tools->prlimit, tools->python}));
        std::filesystem::remove(bwrap);
        ASSERT_TRUE(rows.ok()) << name << ": " << rows.error().message;
        const auto row = std::find_if(rows->begin(), rows->end(), [&](const SelfTestRow & r) { return r.name == wall; });
        ASSERT_NE(row, rows->end());
        EXPECT_FALSE(row->held) << wall << " held without its wall";
        EXPECT_TRUE(rows->front().held) << "the honest program: " << rows->front().found;
    }
}

}  // namespace
}  // namespace kvt
