#include "kvt/base/file_io.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace kvt {
namespace {

namespace fs = std::filesystem;

class FileIo : public testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / ("kvt_file_io_" + std::to_string(::getpid()));
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string path(const char * name) const { return (folder_ / name).string(); }
    size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

    fs::path folder_;
};

TEST_F(FileIo, WritesAndReadsBytes) {
    const std::string bytes("a\0b\nc", 5);
    ASSERT_TRUE(write_file_atomic(path("x"), bytes).ok());
    EXPECT_EQ(*read_file(path("x")), bytes);
    ASSERT_TRUE(write_file_atomic(path("x"), "").ok());
    EXPECT_EQ(*read_file(path("x")), "");
    EXPECT_EQ(files(), 1u);
}

TEST_F(FileIo, NewFilesFollowTheUmask) {
    const mode_t old = ::umask(022);
    ASSERT_TRUE(write_file_atomic(path("x"), "1").ok());
    ::umask(old);
    EXPECT_EQ(fs::status(path("x")).permissions(), fs::perms(0644));
}

TEST_F(FileIo, MissingFileAndFolderAreNamed) {
    EXPECT_EQ(read_file(path("none")).error().message, "cannot read \"" + path("none") + "\": No such file or directory");
    EXPECT_EQ(read_file(folder_.string()).error().message, "cannot read \"" + folder_.string() + "\": Is a directory");
    EXPECT_EQ(write_file_atomic(folder_.string(), "x").error().message,
              "cannot write \"" + folder_.string() + "\": Is a directory");
    EXPECT_EQ(write_file_atomic(path("no/such/folder"), "x").error().message,
              "cannot write \"" + path("no/such/folder") + "\": No such file or directory");
}

TEST_F(FileIo, FullDeviceIsReported) {
    if (!fs::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
    EXPECT_EQ(write_file_atomic("/dev/full", "x").error().message, "cannot write \"/dev/full\": No space left on device");
}

// A size limit fails the write after a part of it, as a full disk does.
TEST_F(FileIo, FailureHalfWayKeepsTheOldFileAndLeavesNoTemporary) {
    ASSERT_TRUE(write_file_atomic(path("x"), "old").ok());
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, 4096};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const Status status = write_file_atomic(path("x"), std::string(100000, 'n'));
        const bool   named  = !status.ok() && status.error().message == "cannot write \"" + path("x") + "\": File too large";
        ::_exit(named ? 0 : 1);
    }
    int result = 0;
    ASSERT_EQ(::waitpid(child, &result, 0), child);
    EXPECT_EQ(result, 0);
    EXPECT_EQ(*read_file(path("x")), "old");
    EXPECT_EQ(files(), 1u);
}

TEST_F(FileIo, UnwritableFolderIsReported) {
    if (::geteuid() == 0) {  // root ignores permission bits; a pseudo file system refuses it too
        EXPECT_FALSE(write_file_atomic("/proc/kvt_no_such_file", "x").ok());
        return;
    }
    fs::permissions(folder_, fs::perms(0555));
    EXPECT_EQ(write_file_atomic(path("x"), "1").error().message, "cannot write \"" + path("x") + "\": Permission denied");
    EXPECT_FALSE(make_folder(folder_.string()).ok());
    fs::permissions(folder_, fs::perms(0755));
}

TEST_F(FileIo, MakeFolderMakesParentsAndRefusesFiles) {
    ASSERT_TRUE(make_folder(path("a/b/c")).ok());
    ASSERT_TRUE(make_folder(path("a/b/c")).ok());
    EXPECT_TRUE(file_exists(path("a/b/c")));
    ASSERT_TRUE(write_file_atomic(path("f"), "1").ok());
    EXPECT_EQ(make_folder(path("f")).error().message, "cannot create the folder \"" + path("f") + "\": Not a directory");
    EXPECT_EQ(make_folder(path("f/g")).error().message, "cannot create the folder \"" + path("f/g") + "\": Not a directory");
    EXPECT_FALSE(file_exists(path("g")));
}

TEST_F(FileIo, WritesThroughAPipe) {
    const std::string fifo = path("fifo");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(write_file_atomic(fifo, "through").ok() ? 0 : 1);
    EXPECT_EQ(*read_file(fifo), "through");
    int result = 0;
    ASSERT_EQ(::waitpid(child, &result, 0), child);
    EXPECT_EQ(result, 0);
    EXPECT_TRUE(fs::is_fifo(fifo));
}

TEST_F(FileIo, AtomicFileReplacesOnCommitOnly) {
    ASSERT_TRUE(write_file_atomic(path("x"), "before").ok());
    {
        auto file = AtomicFile::create(path("x"));
        ASSERT_TRUE(file.ok());
        ASSERT_TRUE(file->write("half").ok());
        EXPECT_EQ(*read_file(path("x")), "before");
    }
    EXPECT_EQ(*read_file(path("x")), "before");
    EXPECT_EQ(files(), 1u);

    auto file = AtomicFile::create(path("x"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("one, ").ok());
    ASSERT_TRUE(file->write("two").ok());
    ASSERT_TRUE(file->commit().ok());
    EXPECT_EQ(*read_file(path("x")), "one, two");
    EXPECT_EQ(files(), 1u);
    EXPECT_FALSE(AtomicFile::create(path("none/x")).ok());
}

// What a killed writer left behind; removed by name, so that such files cannot become many.
TEST_F(FileIo, LeftOverTemporaryIsRemovedByTheNextWriter) {
    std::ofstream(path("x.tmp")) << "half";
    ASSERT_TRUE(write_file_atomic(path("x"), "whole").ok());
    EXPECT_EQ(*read_file(path("x")), "whole");
    EXPECT_EQ(files(), 1u);

    fs::create_directories(path("y.tmp"));  // not ours: it stays
    EXPECT_EQ(write_file_atomic(path("y"), "whole").error().message, "cannot remove \"" + path("y.tmp") + "\": Is a directory");
    fs::create_symlink(path("x"), path("z.tmp"));
    EXPECT_EQ(write_file_atomic(path("z"), "whole").error().message,
              "cannot remove \"" + path("z.tmp") + "\": Too many levels of symbolic links");
    EXPECT_EQ(*read_file(path("x")), "whole");
}

TEST_F(FileIo, WritersOfOnePathTakeTurns) {
    std::vector<pid_t> children;
    for (const char c : {'a', 'b', 'c'}) {
        const pid_t child = ::fork();
        if (child == 0) {
            for (int i = 0; i < 50; ++i) {
                if (!write_file_atomic(path("x"), std::string(10000, c)).ok()) ::_exit(1);
            }
            ::_exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int result = 0;
        ASSERT_EQ(::waitpid(child, &result, 0), child);
        EXPECT_EQ(result, 0);
        const std::string bytes = *read_file(path("x"));
        EXPECT_EQ(bytes, std::string(10000, bytes.front()));
    }
    EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace kvt
