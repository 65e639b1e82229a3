#include "kvt/tasks/number_text.h"

#include "unit/tasks/task_files.h"

namespace kvt::tasks {
namespace {

std::string shown(const Found & found) { return std::string(found.value_or("[invalid]")); }

TEST(NumberText, TheVectorsOfTheUpstreamFilters) {
    const auto rows = kvt::testing::vectors("gsm8k_extract_vectors.jsonl");
    ASSERT_EQ(rows.size(), 20u);
    for (const auto & row : rows) {
        const std::string text = row["response"], gold = normalised_number(row["target"].get<std::string>());
        const auto        check = [&](const Found & found, const char * name) {
            EXPECT_EQ(shown(found), row[name].get<std::string>()) << text;
            EXPECT_EQ(found && normalised_number(*found) == gold, row[std::string(name) + "_em"].get<bool>()) << text;
        };
        check(first_marked_number(text), "strict");
        check(last_number(text), "flexible");
        check(first_cot_number(text), "cot_strict");
    }
}

TEST(NumberText, TheFinalPointOfCotEatsOneCharacter) {
    EXPECT_EQ(shown(first_cot_number("The answer is 18")), "1");
    EXPECT_EQ(shown(first_cot_number("The answer is 18.")), "18");
    EXPECT_EQ(shown(first_cot_number("The answer is 1")), "[invalid]");
}

TEST(NumberText, LlamaTakesTheLastMatch) {
    EXPECT_EQ(shown(last_llama_number("The final answer is 3. The final answer is $1,250")), "$1,250");
    EXPECT_EQ(shown(last_llama_number("The final answer is x")), "[invalid]");
}

TEST(NumberText, Normalisation) {
    EXPECT_EQ(normalised_number("$1,250.50"), "1250.50");
    EXPECT_EQ(normalised_number("so\n#### 18."), "18");
    EXPECT_EQ(normalised_number("5..."), "5..");
}

}  // namespace
}  // namespace kvt::tasks
