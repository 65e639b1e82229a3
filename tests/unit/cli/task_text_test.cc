#include "kvt/cli/task_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/task_records.h"

namespace kvt::cli {
namespace {

using kvt::testing::needle_record;
using kvt::testing::task_record;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RunsText, OneAnswerAnItemHasNoSamples) {
    const std::string text = runs_text({task_record("f16 (stock)", {1, 1, 0, 1}, true), task_record("KV4", {1, 0, 0, 1})});
    EXPECT_THAT(text, HasSubstr("75.0 +- 25.0"));
    EXPECT_THAT(text, Not(HasSubstr("avg@")));
    EXPECT_THAT(text, Not(HasSubstr("depth")));
}

TEST(RunsText, SeveralAnswersHaveAvgAndPassWithIntervals) {
    TaskRecord record = task_record("KV4", {1, 0, 0, 0, 1, 1});
    for (size_t i = 0; i < 6; ++i) {  // two answers each of three items
        record.lines[i].item   = std::to_string(i / 2);
        record.lines[i].sample = static_cast<int>(i % 2);
    }
    record.summary           = to_json(summarize(record.lines));
    record.header["samples"] = 2;
    const std::string text   = runs_text({record});
    EXPECT_THAT(text, HasSubstr("plan  score          avg@2 % (95 %)      pass@2 % (95 %)\n"));
    EXPECT_THAT(text, HasSubstr("KV4   flexible  50.0 (0.0 .. 100.0)  66.7 (1.3 .. 100.0)\n"));
}

TEST(RunsText, NeedlesAreAMapOfLengthAndDepth) {
    const std::vector<double> all{1, 1, 1, 0, 1, 1};
    const std::string text = runs_text({needle_record("f16 (stock)", all, true), needle_record("KV2", {1, 1, 0, 1, 1, 0})});
    EXPECT_THAT(text, HasSubstr("length  recall % by depth %  0-9   10-19  20-29\n"));
    EXPECT_THAT(text, HasSubstr("  4096  f16 (stock)          100     100    100\n"));
    EXPECT_THAT(text, HasSubstr("  4096  KV2                  100       0    100\n"));
    EXPECT_THAT(text, HasSubstr("  4096  KV2 minus reference   +0    -100     +0\n"));
    EXPECT_THAT(text, HasSubstr("  8192  f16 (stock)          100     (0)    100\n")) << "below 50: says nothing";
    EXPECT_THAT(text, HasSubstr("  8192  KV2 minus reference   +0  (+100)   -100\n"));
}

}  // namespace
}  // namespace kvt::cli
