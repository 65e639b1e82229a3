#include "kvt/report/study_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

namespace kvt::testing {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Evaluation plan(const char * label, double payload, double effective, double kld, double low = kNaN, double high = kNaN) {
    Evaluation e;
    e.label          = label;
    e.payload_bits   = payload;
    e.effective_bits = effective;
    e.kld            = kld;
    e.kld_ci_low     = low;
    e.kld_ci_high    = high;
    return e;
}

Study example() {
    Study s;
    s.n_chunks     = 8;
    s.chunk_tokens = 512;
    s.floor        = 0.003;
    s.evaluations  = {plan("KV16", 16, 16, 0.003),
                      plan("KV8", 8, 9.25, 0.004),
                      plan("K8V4", 6, 7.25, 0.011),
                      plan("KV2", 2, 3.25, 0.6),
                      plan("", 5.5, 6.75, 0.008, 0.007, 0.009),
                      plan("", 5.6, 6.85, 0.05)};
    s.front        = {3, 4, 1};
    return s;
}

std::vector<std::string> lines_of(const std::string & text) {
    std::vector<std::string> lines;
    std::istringstream       in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

TEST(StudyText, TableHoldsFrontAndUniformPairsByBits) {
    const auto lines = lines_of(study_text(example(), 4));
    EXPECT_EQ(lines[0], "6 plans scored on 8 chunks of 512 tokens; noise floor 0.0030 nats; effective bits at 4096 tokens");
    EXPECT_EQ(lines[2], "    KV2            2.00           3.25    0.6000");
    EXPECT_EQ(lines[3], "  > mixed          5.50           6.75    0.0080  [0.0070, 0.0090]");
    EXPECT_EQ(lines[4], "    K8V4           6.00           7.25    0.0110  (beaten)");
    EXPECT_EQ(lines[5], "    KV8            8.00           9.25    0.0040");
    EXPECT_EQ(lines[6], "");  // neither the floor nor the beaten mixed plan
}

// Column and row of a mark in the plot, counted inside its frame.
std::pair<int, int> find_mark(const std::vector<std::string> & rows, char mark) {
    for (size_t r = 1; r < 17; ++r) {
        const size_t at = rows[r].find(mark, 12);
        if (at != std::string::npos) return {static_cast<int>(at) - 12, static_cast<int>(r) - 1};
    }
    return {-1, -1};
}

TEST(FrontierPlot, MarksStandWhereTheyShould) {
    const auto rows = lines_of(frontier_plot(example(), 4));
    ASSERT_GE(rows.size(), 19u);
    // Bits 3.25 to 9.25 over columns 0..63; log KLD 0.6 down to 0.003 over rows 0..15.
    const auto column = [](double bits) { return static_cast<int>(std::lround((bits - 3.25) / 6.0 * 63)); };
    const auto row    = [](double kld) {
        return static_cast<int>(std::lround(std::log10(0.6 / kld) / std::log10(0.6 / 0.003) * 15));
    };
    EXPECT_EQ(find_mark(rows, '#'), std::make_pair(column(6.75), row(0.008)));
    EXPECT_EQ(find_mark(rows, 'o'), std::make_pair(column(7.25), row(0.011)));
    EXPECT_EQ(find_mark(rows, '*'), std::make_pair(0, 0));
    EXPECT_EQ(find_mark(rows, '.'), std::make_pair(column(6.85), row(0.05)));
    EXPECT_EQ(find_mark(rows, '-').second, 15);  // the floor is the lowest
    EXPECT_NE(rows[1].find("0.6000"), std::string::npos);
    EXPECT_NE(rows[16].find("0.0030"), std::string::npos);
}

TEST(FrontierPlot, OddStudiesGiveNoNonsense) {
    EXPECT_EQ(frontier_plot(Study{}, -1), "");
    Study only_floor;
    only_floor.evaluations = {plan("KV16", 16, 16, 0.003)};
    EXPECT_EQ(frontier_plot(only_floor, -1), "");
    Study one;
    one.evaluations = {plan("KV4", 4, 5, 0.02)};
    one.front       = {0};
    EXPECT_NE(frontier_plot(one, 0).find('#'), std::string::npos);
    one.evaluations.push_back(plan("KV8", 8, 9, 0.0));  // no logarithm: on the lowest row
    one.front = {0, 1};
    EXPECT_EQ(find_mark(lines_of(frontier_plot(one, 0)), '*').second, 15);
}

TEST(FrontierPlot, OnlyAsciiAndNoTrailingSpace) {
    const std::string text = study_text(example(), 4);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    for (const std::string & line : lines_of(frontier_plot(example(), 4))) EXPECT_FALSE(line.ends_with(' ')) << line;
}

}  // namespace
}  // namespace kvt::testing
