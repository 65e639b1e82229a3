#include "kvt/tasks/jsonl.h"

#include "unit/tasks/task_files.h"

namespace kvt::tasks {
namespace {

using kvt::testing::data_file;

std::string error_of(const std::string & bytes) {
    const auto file = load_jsonl(data_file("rows.jsonl", bytes));
    return file.ok() ? "" : file.error().message;
}

TEST(Jsonl, ErrorsNameTheLine) {
    EXPECT_NE(load_jsonl("/no/such/file.jsonl").error().message.find("/no/such/file.jsonl"), std::string::npos);
    EXPECT_NE(error_of("").find("line 1: the file is empty"), std::string::npos);
    EXPECT_NE(error_of("{}\n{\"a\": \n").find("line 2: not a JSON object"), std::string::npos);
    EXPECT_NE(error_of("{}\n\n[1]\n").find("line 3: not a JSON object"), std::string::npos);
    EXPECT_NE(error_of("{\"a\": \"\xff\"}\n").find("line 1: not UTF-8"), std::string::npos);
}

TEST(Jsonl, FieldsAreChecked) {
    const auto file = load_jsonl(data_file("rows.jsonl", "{\"id\": \"a\", \"n\": 2}\n{\"id\": \"a\", \"n\": \"2\"}\n"));
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(*file->rows[0].integer("n"), 2);
    EXPECT_NE(file->rows[1].integer("n").error().message.find("line 2: the field \"n\" is string, not a whole number"),
              std::string::npos);
    EXPECT_NE(file->rows[0].text("n").error().message.find("line 1: the field \"n\" is number, not text"), std::string::npos);
    EXPECT_NE(file->rows[0].text("x").error().message.find("line 1: the field \"x\" is missing"), std::string::npos);
    EXPECT_NE(file->check_unique("id").error().message.find("line 2: the field \"id\" repeats that of line 1"),
              std::string::npos);
}

}  // namespace
}  // namespace kvt::tasks
