// What the answers of one run come to.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/harness/record.h"
#include "kvt/harness/score_stats.h"

namespace kvt {

// --- Interface ---

inline constexpr const char * kLogLikelihood = "log_likelihood_per_token";  // the one score that is not a share: nats

struct NamedScore {
    std::string name;
    MeanScore   score;
};

struct GroupScore {
    std::string group, value;  // "level", "3"
    NamedScore  headline;
};

// Several answers per item: "avg@8" is the share of right ones, "pass@4" the chance that 4 of the 8 hold a right one.
struct SampleScore {
    std::string score;  // whose: "flexible"
    std::string name;   // "avg@8", "pass@4"
    MeanScore   value;  // over items
};

struct RunSummary {
    int                     n_items = 0, n_answers = 0, n_error = 0, n_length = 0, n_no_answer = 0, n_unscored = 0;
    std::vector<NamedScore> scores;  // the headline first
    std::vector<GroupScore> groups;  // of the headline score
    // Of scores that are 0 or 1, if every item has at least two answers: avg@n, and pass@k for k = 2, 4, 8 ... and n; n is the
    // least number of answers that an item has.
    std::vector<SampleScore> samples;
    int64_t                  prompt_tokens = 0, new_tokens = 0;
};

// Names of the scores, the headline first.
std::vector<std::string> score_names(std::span<const ItemLine> lines);

// The score `name` of one answer; null if it has none.
const double * find_score(const ItemLine & line, std::string_view name);

// One value per item of score `name`, in order of first appearance: the mean over its samples. An error counts as 0 in a share
// and not at all in a log-likelihood; answers that were not scored are left out.
struct ItemValue {
    std::string item;
    double      value = 0;
};
std::vector<ItemValue> item_values(std::span<const ItemLine> lines, const std::string & name);
std::vector<ItemValue> item_values(std::span<const ItemLine * const> lines, const std::string & name);

RunSummary summarize(std::span<const ItemLine> lines);
Json       to_json(const MeanScore & score);
Json       to_json(const RunSummary & summary);

}  // namespace kvt
