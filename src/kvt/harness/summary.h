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

struct RunSummary {
    int                     n_items = 0, n_answers = 0, n_error = 0, n_length = 0, n_no_answer = 0, n_unscored = 0;
    std::vector<NamedScore> scores;  // the headline first
    std::vector<GroupScore> groups;  // of the headline score
    int64_t                 prompt_tokens = 0, new_tokens = 0;
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
