#include "kvt/tasks/json_lines.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"

namespace kvt {
namespace {

std::string file_with(const std::string & text) {
    const std::string path = ::testing::TempDir() + "kvt_json_lines_" + std::to_string(::getpid()) + ".jsonl";
    EXPECT_TRUE(write_file_atomic(path, text).ok());
    return path;
}

TEST(JsonLines, GivesRowsWithTheirPlaces) {
    const std::string path  = file_with("{\"a\": \"x\"}\n\n{\"a\": 5}\r\n{\"b\": \"last\"}");
    auto              lines = JsonLines::open(path);
    ASSERT_TRUE(lines.ok());
    const auto first = lines->next();
    ASSERT_TRUE(first.ok() && first->has_value());
    EXPECT_EQ(*(*first)->text("a"), "x");
    const auto second = lines->next();
    ASSERT_TRUE(second.ok() && second->has_value());
    EXPECT_EQ((*second)->text("a").error().message, path + " line 3: the field \"a\" is number, not text");
    EXPECT_EQ((*second)->text("b").error().message, path + " line 3: the field \"b\" is missing");
    const auto third = lines->next();
    ASSERT_TRUE(third.ok() && third->has_value());
    EXPECT_EQ((*third)->line, 4);
    EXPECT_FALSE(lines->next()->has_value());

    const auto again = JsonLines::read_again(path, (*third)->offset, (*third)->line);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(*again->text("b"), "last");
    EXPECT_EQ(again->where, path + " line 4");
    EXPECT_FALSE(JsonLines::read_again(path, 1 << 20, 99).ok());
}

TEST(JsonLines, NamesWhatIsWrong) {
    EXPECT_NE(JsonLines::open("/nowhere/x.jsonl").error().message.find("cannot read \"/nowhere/x.jsonl\": No such file"),
              std::string::npos);
    EXPECT_EQ(JsonLines::open("/usr").error().message, "cannot read \"/usr\": it is a folder");
    std::string path = file_with("");
    EXPECT_EQ(JsonLines::open(path).error().message, path + " line 1: the file is empty; a row is one JSON object a line");
    const auto error_of = [](const std::string & text) {
        auto lines = JsonLines::open(file_with(text));
        EXPECT_TRUE(lines->next().ok());
        return lines->next().error().message;
    };
    EXPECT_EQ(error_of("{}\n{\"a\": \"\xff\"}\n"), path + " line 2: not UTF-8");
    EXPECT_EQ(error_of("{}\n{\"a\": \n"), path + " line 2: not a JSON object");
    EXPECT_EQ(error_of("{}\n[1]\n"), path + " line 2: not a JSON object");
}

}  // namespace
}  // namespace kvt
