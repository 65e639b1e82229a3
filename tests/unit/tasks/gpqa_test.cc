#include "kvt/tasks/gpqa.h"

#include "kvt/tasks/csv.h"
#include "unit/tasks/task_files.h"

namespace kvt {
namespace {

using namespace testing;
using Order = std::array<int, 4>;

TaskOptions sample(const std::string & variant = "") {
    TaskOptions asked = options("gpqa", variant);
    asked.data        = {vector_path("gpqa_diamond_synthetic.csv")};
    return asked;
}

TEST(Gpqa, OrderOfOptions) {
    EXPECT_EQ(tasks::option_order("synth0", 0), (Order{1, 0, 3, 2}));
    EXPECT_EQ(tasks::option_order("synth1", 0), (Order{1, 2, 3, 0}));
    EXPECT_EQ(tasks::option_order("synth2", 0), (Order{2, 3, 1, 0}));
    EXPECT_EQ(tasks::option_order("synth0", 1), (Order{1, 2, 0, 3}));
    EXPECT_EQ(tasks::option_order("synth1", 1), (Order{1, 2, 0, 3}));
    EXPECT_EQ(tasks::option_order("synth2", 1), (Order{3, 0, 2, 1}));
}

TEST(Gpqa, PromptsAndScores) {
    const auto task = opened(sample());
    ASSERT_TRUE(task);
    EXPECT_TRUE(task->header().private_text);
    ASSERT_EQ(task->header().warnings.size(), 1u);
    EXPECT_EQ(task->header().warnings[0], "3 questions instead of the 198 of GPQA Diamond");
    const auto item = task->item(1);
    EXPECT_EQ(item->gold, "D");
    EXPECT_TRUE(item->turns[0].text.ends_with(
        "Which gas do plants take in for photosynthesis?\nChoose one, \"carefully\".\n\nA) Oxygen\nB) "
        "Nitrogen, N2\nC) Helium\nD) Carbon dioxide"));
    EXPECT_EQ(score_of(task->score(1, "<think>Answer: A</think>so\nanswer \t: $D$"), "correct"), 1);
    EXPECT_EQ(score_of(task->score(1, "Answer: A\nAnswer: D"), "correct"), 0) << "the first match counts";
    EXPECT_EQ(task->score(1, "the answer is D").flags, (std::vector<std::string>{"no_answer"}));
    const auto choice = opened(sample("loglikelihood"))->item(0);
    EXPECT_EQ(choice->text,
              "What is the correct answer to this question:What is the capital of France?\nChoices:\n(A) London\n(B) Paris\n"
              "(C) Madrid\n(D) Berlin\nAnswer:");
    EXPECT_EQ(choice->continuations, (std::vector<std::string>{" (A)", " (B)", " (C)", " (D)"}));
    EXPECT_EQ(choice->gold_continuation, 1);
}

std::string error_of(const std::string & csv) {
    TaskOptions asked = options("gpqa");
    asked.data        = {data_file("gpqa.csv", csv)};
    return open_error(asked);
}

TEST(Gpqa, BadInputIsNamedWithoutItsText) {
    EXPECT_NE(open_error(options("gpqa")).find("accept the terms of Idavidrein/gpqa"), std::string::npos);
    const std::string head = "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3,Record ID\n";
    EXPECT_NE(error_of("").find("the file is empty"), std::string::npos);
    EXPECT_NE(error_of("Question,Record ID\nsecret,1\n").find("row 1: there is no column \"Correct Answer\""), std::string::npos);
    for (const char * rows : {"secret,a,b,,d,r1\n", "secret,a,b,c,d,\n", "secret,a,b,c,d,r1\nsecret,a,b,c,d,r1\n",
                              "\"secret,a,b,c,d,r1\n", "secret,a\n", "\"secret\"x,a,b,c,d,r1\n"}) {
        const std::string message = error_of(head + rows);
        EXPECT_NE(message.find("row "), std::string::npos) << message;
        EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    }
    TaskOptions asked = options("gpqa");
    asked.data        = {data_file("gpqa.csv", "\xef\xbb\xbf" + head + "q,a,a,c,d,r1\r\n")};
    EXPECT_EQ(opened(asked)->header().warnings[0], "row 2 has two equal options");
}

TEST(Csv, QuotesAndEnds) {
    EXPECT_EQ(*tasks::parse_csv("a,\"b\n\"\"c\"\"\",\r\n,d"),
              (std::vector<std::vector<std::string>>{{"a", "b\n\"c\"", ""}, {"", "d"}}));
}

}  // namespace
}  // namespace kvt
