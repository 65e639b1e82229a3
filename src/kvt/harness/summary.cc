#include "kvt/harness/summary.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "kvt/base/optional_json.h"

namespace kvt {

// --- Implementation ---

std::vector<std::string> score_names(std::span<const ItemLine> lines) {
    std::vector<std::string> names;
    for (const ItemLine & line : lines) {
        for (const auto & [name, value] : line.scores) {
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
        }
    }
    return names;
}

const double * find_score(const ItemLine & line, std::string_view name) {
    const auto found = std::find_if(line.scores.begin(), line.scores.end(), [&](const auto & s) { return s.first == name; });
    return found == line.scores.end() ? nullptr : &found->second;
}

std::vector<ItemValue> item_values(std::span<const ItemLine> lines, const std::string & name) {
    std::vector<const ItemLine *> all;
    for (const ItemLine & line : lines) all.push_back(&line);
    return item_values(all, name);
}

std::vector<ItemValue> item_values(std::span<const ItemLine * const> lines, const std::string & name) {
    std::vector<ItemValue>        values;
    std::vector<int>              counts;
    std::map<std::string, size_t> places;
    for (const ItemLine * line : lines) {
        const double * score = find_score(*line, name);
        if (score == nullptr && (line->error.empty() || name == kLogLikelihood)) continue;
        const auto [place, is_new] = places.try_emplace(line->item, values.size());
        if (is_new) {
            values.push_back({line->item, 0});
            counts.push_back(0);
        }
        values[place->second].value += score != nullptr ? *score : 0;
        ++counts[place->second];
    }
    for (size_t i = 0; i < values.size(); ++i) values[i].value /= counts[i];
    return values;
}

namespace {

template <class Lines>
MeanScore score_of(const Lines & lines, const std::string & name) {
    std::vector<double> plain;
    for (const ItemValue & v : item_values(lines, name)) plain.push_back(v.value);
    return mean_score(plain);
}

// Right answers of one item.
struct Tally {
    int n = 0, right = 0;
};

// In order of first appearance; empty if some answer is neither right nor wrong.
std::vector<Tally> tallies(std::span<const ItemLine> lines, const std::string & name) {
    std::vector<Tally>            out;
    std::map<std::string, size_t> places;
    for (const ItemLine & line : lines) {
        const double * score = find_score(line, name);
        if (score == nullptr && line.error.empty()) continue;
        if (score != nullptr && *score != 0 && *score != 1) return {};
        const auto [place, is_new] = places.try_emplace(line.item, out.size());
        if (is_new) out.emplace_back();
        ++out[place->second].n;
        out[place->second].right += score != nullptr && *score == 1 ? 1 : 0;
    }
    return out;
}

void add_samples(std::span<const ItemLine> lines, const NamedScore & mean, std::vector<SampleScore> & out) {
    const std::vector<Tally> items = tallies(lines, mean.name);
    const auto least = std::min_element(items.begin(), items.end(), [](const Tally & a, const Tally & b) { return a.n < b.n; });
    if (least == items.end() || least->n < 2) return;
    out.push_back({mean.name, fmt::format("avg@{}", least->n), mean.score});
    for (int k = 2;; k = std::min(2 * k, least->n)) {
        std::vector<double> values;
        for (const Tally & item : items) values.push_back(pass_at_k(item.n, item.right, k));
        out.push_back({mean.name, fmt::format("pass@{}", k), mean_score(values)});
        if (k == least->n) return;
    }
}

}  // namespace

RunSummary summarize(std::span<const ItemLine> lines) {
    RunSummary                                                                   s;
    std::set<std::string>                                                        items;
    std::map<std::pair<std::string, std::string>, std::vector<const ItemLine *>> by_group;
    for (const ItemLine & line : lines) {
        items.insert(line.item);
        ++s.n_answers;
        s.n_error += line.error.empty() ? 0 : 1;
        s.n_length += line.finish == "length" ? 1 : 0;
        s.n_no_answer += std::count(line.flags.begin(), line.flags.end(), "no_answer") > 0 ? 1 : 0;
        s.n_unscored += line.scores.empty() && line.error.empty() ? 1 : 0;
        s.prompt_tokens += line.prompt_tokens;
        s.new_tokens += line.new_tokens;
        for (const auto & [group, value] : line.groups) by_group[{group, value}].push_back(&line);
    }
    s.n_items        = static_cast<int>(items.size());
    const auto names = score_names(lines);
    for (const std::string & name : names) s.scores.push_back({name, score_of(lines, name)});
    for (const NamedScore & score : s.scores) {
        if (score.name != kLogLikelihood) add_samples(lines, score, s.samples);
    }
    for (const auto & [key, part] : by_group) {
        if (!names.empty()) s.groups.push_back({key.first, key.second, {names[0], score_of(part, names[0])}});
    }
    return s;
}

Json to_json(const MeanScore & s) {
    Json j{{"n", s.n}, {"mean", s.mean}};
    j["se"] = or_null(s.se);
    put_interval(j, s.interval);
    return j;
}

Json to_json(const RunSummary & s) {
    Json j{{"n_items", s.n_items},
           {"n_answers", s.n_answers},
           {"n_error", s.n_error},
           {"n_length", s.n_length},
           {"n_no_answer", s.n_no_answer},
           {"n_unscored", s.n_unscored},
           {"prompt_tokens", s.prompt_tokens},
           {"new_tokens", s.new_tokens}};
    j["scores"] = Json::object();
    for (const NamedScore & n : s.scores) j["scores"][n.name] = to_json(n.score);
    j["groups"] = Json::array();
    for (const GroupScore & g : s.groups) {
        Json one     = to_json(g.headline.score);
        one["group"] = g.group;
        one["value"] = g.value;
        one["score"] = g.headline.name;
        j["groups"].push_back(std::move(one));
    }
    j["samples"] = Json::array();
    for (const SampleScore & sample : s.samples) {
        Json one     = to_json(sample.value);
        one["score"] = sample.score;
        one["name"]  = sample.name;
        j["samples"].push_back(std::move(one));
    }
    return j;
}

}  // namespace kvt
