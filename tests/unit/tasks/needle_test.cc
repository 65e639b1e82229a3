#include <algorithm>
#include <set>

#include "kvt/tasks/needle/words.h"
#include "kvt/tasks/text.h"
#include "unit/tasks/task_files.h"

namespace kvt {
namespace {

using namespace testing;

// One token a word.
TaskOptions needle(const std::string & name, int length) {
    TaskOptions asked  = options(name);
    asked.length       = length;
    asked.count_tokens = [](const TaskItem & item) -> Result<int> {
        int n = 0;
        for (const std::string_view part :
             tasks::split((item.turns.empty() ? item.text : item.turns[0].text) + item.answer_prefix, " ")) {
            n += part.empty() ? 0 : 1;
        }
        return n;
    };
    return asked;
}

std::vector<std::string> needle_names() {
    std::vector<std::string> names;
    for (const std::string & name : task_names()) {
        if (name.starts_with("niah") || name.starts_with("wiki") || name == "vt" || name == "fwe") names.push_back(name);
    }
    return names;
}

TEST(Needle, WordLists) {
    const auto words = tasks::shipped_words();
    ASSERT_TRUE(words.ok());
    EXPECT_EQ(words->adjectives.size(), 901u);
    EXPECT_EQ(words->nouns.size(), 6673u);
    EXPECT_NE(tasks::load_words(data_file("words.txt", "A b\n1\n")).error().message.find("no line is a word"), std::string::npos);
    SplitMix64        rng(1);
    const std::string uuid = tasks::draw_uuid(rng);
    EXPECT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
}

TEST(Needle, ItemsFitAreDeterministicAndScoreTheirOwnReferences) {
    ASSERT_EQ(needle_names().size(), 10u);
    for (const std::string & name : needle_names()) {
        const TaskOptions asked = needle(name, 1200);
        const auto        task = opened(asked), again = opened(asked);
        ASSERT_TRUE(task) << name;
        EXPECT_EQ(task->header().n_items, 40);
        const auto item = task->item(7);
        ASSERT_TRUE(item.ok()) << item.error().message;
        const int tokens = *asked.count_tokens(*item) + task->header().max_new_tokens;
        EXPECT_LE(tokens, 1200) << name;
        EXPECT_GT(tokens, 1080) << name << ": a unit of text is far smaller than what is left";
        EXPECT_EQ(again->item(7)->turns[0].text, item->turns[0].text);
        EXPECT_NE(again->item(8)->turns[0].text, item->turns[0].text);
        EXPECT_EQ(task->score(7, item->gold).scores[0].second, 1) << name;
        EXPECT_EQ(task->score(7, "nothing").scores[0].second, 0) << name;
        EXPECT_EQ(item->groups.at("length"), "1200");
        for (const std::string_view reference : tasks::split(item->gold, ", ")) {
            EXPECT_NE(item->turns[0].text.find(reference), std::string::npos) << name << " " << reference;
        }
    }
}

TEST(Needle, TextIsCountedWithoutATemplate) {
    TaskOptions asked  = needle("niah_single_1", 700);
    asked.variant      = "text";
    const auto words   = asked.count_tokens;
    asked.count_tokens = [words](const TaskItem & item) -> Result<int> {
        if (!item.turns.empty()) return Error{"the model has no chat template"};
        return words(item);
    };
    const auto item = opened(asked)->item(0);
    ASSERT_TRUE(item.ok()) << item.error().message;
    EXPECT_TRUE(item->turns.empty());
    EXPECT_TRUE(item->text.starts_with("A special magic number is hidden"));
}

TEST(Needle, DepthsOfASingleNeedle) {
    const auto task = opened(needle("niah_single_1", 1000));
    EXPECT_EQ(task->item(0)->groups.at("depth"), "0");
    EXPECT_EQ(task->item(1)->groups.at("depth"), "3");
    EXPECT_EQ(task->item(39)->groups.at("depth"), "100");
    const auto text = task->item(0)->turns[0].text;
    EXPECT_TRUE(text.starts_with(
        "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the "
        "number afterwards.\nOne of the special magic numbers for "));
    EXPECT_NE(text.find(" is: " + task->item(0)->gold + ".\nThe grass is green."), std::string::npos);
    EXPECT_TRUE(task->item(0)->answer_prefix.ends_with(" mentioned in the provided text is"));
}

TEST(Needle, SeveralNeedles) {
    const auto item = opened(needle("wiki_multiquery", 1500))->item(0);
    EXPECT_TRUE(item->turns[0].text.starts_with("Some special magic numbers are hidden"));
    EXPECT_NE(item->answer_prefix.find(", and "), std::string::npos);
    EXPECT_EQ(tasks::split(item->gold, ", ").size(), 4u);
    EXPECT_EQ(opened(needle("wiki_multiquery", 1500))->score(0, std::string(tasks::split(item->gold, ", ")[2])).scores[0].second,
              0.25);
    EXPECT_EQ(tasks::split(opened(needle("vt", 1500))->item(0)->gold, ", ").size(), 5u);
}

TEST(Needle, TheThreeMostFrequentWords) {
    const auto                 item = opened(needle("fwe", 1500))->item(3);
    std::map<std::string, int> counts;
    for (const std::string_view word : tasks::split(item->turns[0].text, " ")) ++counts[std::string(word)];
    std::vector<std::pair<int, std::string>> coded;
    for (const auto & [word, n] : counts) {
        const bool letters =
            word.size() == 6 && std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
        if (letters && n > 1) coded.emplace_back(n, word);
    }
    std::sort(coded.rbegin(), coded.rend());
    EXPECT_EQ(coded[0].second + ", " + coded[1].second + ", " + coded[2].second, item->gold);
    EXPECT_GT(coded[2].first, coded[3].first);
}

TEST(Needle, BadInput) {
    EXPECT_NE(open_error(needle("niah_single_1", 0)).find("needs a length"), std::string::npos);
    TaskOptions asked  = needle("vt", 4096);
    asked.count_tokens = nullptr;
    EXPECT_NE(open_error(asked).find("needs a model"), std::string::npos);
    EXPECT_NE(opened(needle("vt", 60))->item(0).error().message.find("60 tokens are too few"), std::string::npos);
    asked      = needle("wiki_single_2", 4096);
    asked.data = {data_file("short.raw", " One sentence . Another one . \n = Title = \n")};
    EXPECT_NE(opened(asked)->item(0).error().message.find("too little text for 4096 tokens"), std::string::npos);
}

}  // namespace
}  // namespace kvt
