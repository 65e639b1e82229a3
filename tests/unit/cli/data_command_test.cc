#include <nlohmann/json.hpp>

#include "support/program.h"

namespace kvt::testing {
namespace {

TEST(DataCommand, ListsWhatTasksNeedAndChecksIt) {
    const Outcome run = kvtuner("data --json");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const auto rows = nlohmann::json::parse(run.out);
    bool       gpqa = false, gsm8k = false;
    for (const auto & row : rows) {
        gpqa |= row["task"] == "gpqa" && row["state"] == "yours";
        gsm8k |= row["task"] == "gsm8k" && row["state"] == "present" && row["sha256"] == row["expected_sha256"];
    }
    EXPECT_TRUE(gpqa);
    EXPECT_TRUE(gsm8k);
    EXPECT_NE(kvtuner("data").out.find("nothing is downloaded"), std::string::npos);
}

}  // namespace
}  // namespace kvt::testing
