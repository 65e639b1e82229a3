#include "kvt/cli/prompts.h"

#include <cstdio>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"

namespace kvt::cli {
namespace {

class Prompts : public ::testing::Test {
protected:
    std::string file(const char * name, const std::string & text) {
        files_.push_back(::testing::TempDir() + "kvt_prompts_" + name);
        EXPECT_TRUE(write_file_atomic(files_.back(), text).ok());
        return files_.back();
    }
    void TearDown() override {
        for (const std::string & path : files_) std::remove(path.c_str());
    }

private:
    std::vector<std::string> files_;
};

TEST_F(Prompts, JsonLinesTakeTheFirstKnownField) {
    const auto path = file(
        "a.jsonl", "{\"question\": \"one\", \"answer\": \"x\"}\n\n{\"prompt\": \"two\"}\r\n{\"text\": \"three\", \"id\": 3}");
    EXPECT_EQ(*load_prompts(path, 0), (std::vector<std::string>{"one", "two", "three"}));
    EXPECT_EQ(*load_prompts(path, 2), (std::vector<std::string>{"one", "two"}));
}

TEST_F(Prompts, TextGivesParagraphs) {
    const auto path = file("a.txt", "\n first line\nsecond line\n\n \t\nanother\r\n");
    EXPECT_EQ(*load_prompts(path, 0), (std::vector<std::string>{" first line\nsecond line", "another"}));
}

TEST_F(Prompts, BadFilesAreNamedWithTheirLine) {
    const auto message = [](const Result<std::vector<std::string>> & r) {
        return r.ok() ? std::string("accepted") : r.error().message;
    };
    const auto broken = file("b.jsonl", "{\"question\": \"one\"}\n{\"question\": \n");
    EXPECT_NE(message(load_prompts(broken, 0)).find("kvt_prompts_b.jsonl line 2"), std::string::npos);
    EXPECT_EQ(load_prompts(broken, 1)->size(), 1u);  // never reads what is not asked for
    for (const char * line : {"[1]", "{\"answer\": \"x\"}", "{\"question\": 5}", "{\"question\": \"  \"}"}) {
        EXPECT_NE(message(load_prompts(file("c.jsonl", line), 0)).find("line 1"), std::string::npos) << line;
    }
    EXPECT_NE(message(load_prompts(file("empty.txt", " \n\n"), 0)).find("kvt_prompts_empty.txt"), std::string::npos);
    EXPECT_NE(message(load_prompts("/nonexistent/p.txt", 0)).find("/nonexistent/p.txt"), std::string::npos);
}

}  // namespace
}  // namespace kvt::cli
