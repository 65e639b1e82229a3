#include "kvt/harness/compare.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "kvt/base/optional_json.h"
#include "kvt/harness/summary.h"

namespace kvt {

// --- Implementation ---

namespace {

// What two runs must share for their answers to be comparable. Prompts are compared line by line.
constexpr const char * kSameFields[] = {"task",    "variant",        "mode",  "data_sha256", "shots",
                                        "samples", "max_new_tokens", "stops", "sampling",    "seed"};

using Key = std::pair<std::string, int>;

std::map<Key, const ItemLine *> by_key(const TaskRecord & record) {
    std::map<Key, const ItemLine *> lines;
    for (const ItemLine & line : record.lines) lines[{line.item, line.sample}] = &line;
    return lines;
}

// The first of kSameFields whose values differ; null if there is none.
const char * differing_field(const TaskRecord & a, const TaskRecord & b) {
    for (const char * field : kSameFields) {
        if (a.header.value(field, Json()) != b.header.value(field, Json())) return field;
    }
    return nullptr;
}

Status check_headers(const TaskRecord & a, const TaskRecord & b) {
    for (const TaskRecord * r : {&a, &b}) {
        if (r->summary.is_null())
            return Error{fmt::format("record {} is unfinished: run the same command again to complete it", r->path)};
    }
    const char * field = differing_field(a, b);
    if (field == nullptr) return ok_status();
    return Error{fmt::format("{} and {} are different runs: \"{}\" is {} and {}", a.path, b.path, field,
                             a.header.value(field, Json()).dump(), b.header.value(field, Json()).dump())};
}

Status check_lines(const TaskRecord & a, const TaskRecord & b) {
    const auto x = by_key(a), y = by_key(b);
    for (const auto & [one, other, path] : {std::tuple(&x, &y, &b.path), std::tuple(&y, &x, &a.path)}) {
        for (const auto & [key, line] : *one) {
            const auto found = other->find(key);
            if (found == other->end()) return Error{fmt::format("{} lacks item {} sample {}", *path, key.first, key.second)};
            if (found->second->prompt_sha256 != line->prompt_sha256)
                return Error{fmt::format("item {}: the prompts of {} and {} differ", key.first, a.path, b.path)};
        }
    }
    return ok_status();
}

double score_or_0(const ItemLine & line, const std::string & name) {
    const double * score = find_score(line, name);
    return score == nullptr ? 0 : *score;
}

Json to_json(const Flip & f) {
    const auto side = [](const ItemLine & line, double score) {
        return Json{{"score", score},
                    {"extracted", line.extracted},
                    {"finish", line.finish},
                    {"error", line.error},
                    {"response", or_null(line.response)}};
    };
    return Json{{"item", f.first->item},
                {"sample", f.first->sample},
                {"gold", f.first->gold},
                {"reference", side(*f.first, f.first_score)},
                {"candidate", side(*f.second, f.second_score)}};
}

}  // namespace

std::string run_name(const TaskRecord & record) {
    if (record.header.contains("server")) return "server " + record.header["server"].value("model", "");
    return record.header.value("plan", Json::object()).value("name", record.path);
}

std::string settings_text(const TaskRecord & record) {
    const Json &      h       = record.header;
    const std::string variant = h.value("variant", "");
    const int         samples = h.value("samples", 1);
    return fmt::format("{}{}{}: {} items, {} sample{} each, at most {} new tokens, seed {}", h.value("task", ""),
                       variant.empty() ? "" : " ", variant, h.value("n_items", 0), samples, samples == 1 ? "" : "s",
                       h.value("max_new_tokens", 0), h.value("seed", 0));
}

bool same_questions(const TaskRecord & first, const TaskRecord & second) {
    const auto prompts = [](const TaskRecord & r) { return r.header.value("prompts_sha256", Json()); };
    return differing_field(first, second) == nullptr && prompts(first) == prompts(second);
}

Result<RunComparison> compare_records(const TaskRecord & first, const TaskRecord & second) {
    KVT_CHECK_OK(check_headers(first, second));
    KVT_CHECK_OK(check_lines(first, second));
    RunComparison c;
    c.first          = run_name(first);
    c.second         = run_name(second);
    const auto names = score_names(first.lines);
    for (const std::string & name : names) {
        std::map<std::string, double> others;
        for (const ItemValue & v : item_values(second.lines, name)) others[v.item] = v.value;
        std::vector<double> x, y;
        for (const ItemValue & v : item_values(first.lines, name)) {
            const auto found = others.find(v.item);
            if (found == others.end()) continue;  // not scored, or without likelihood, on one side
            x.push_back(v.value);
            y.push_back(found->second);
        }
        c.scores.push_back({name, mean_score(x), mean_score(y), paired_score(x, y)});
    }
    const auto partners = by_key(second);
    for (const ItemLine & line : first.lines) {
        const ItemLine & other = *partners.at({line.item, line.sample});
        ++c.n_answers;
        if (line.response && other.response) {
            ++c.n_texts;
            c.n_same_text += line.response == other.response ? 1 : 0;
        }
        if (names.empty() || names[0] == kLogLikelihood) continue;
        const double a = score_or_0(line, names[0]), b = score_or_0(other, names[0]);
        if (a != b) c.flips.push_back({&line, &other, a, b});
    }
    return c;
}

Json to_json(const ScoreDifference & d, double margin) {
    const PairedScore & p = d.paired;
    Json j{{"reference", to_json(d.first)}, {"candidate", to_json(d.second)}, {"difference", p.difference}, {"n", p.n}};
    j["se"] = or_null(p.se);
    put_interval(j, p.interval);
    j["only_reference"] = p.binary ? Json(p.only_first) : Json(nullptr);
    j["only_candidate"] = p.binary ? Json(p.only_second) : Json(nullptr);
    j["mcnemar_p"]      = or_null(p.p);
    if (d.name == kLogLikelihood) return j;
    j["smallest_margin"] = or_null(p.smallest_margin);
    j["margin"]          = margin;
    j["equivalent"]      = p.smallest_margin ? Json(*p.smallest_margin <= margin) : Json(nullptr);
    return j;
}

Json to_json(const RunComparison & c, double margin) {
    Json j{{"reference", c.first},
           {"candidate", c.second},
           {"n_answers", c.n_answers},
           {"n_texts", c.n_texts},
           {"n_same_text", c.n_same_text}};
    j["scores"] = Json::object();
    for (const ScoreDifference & d : c.scores) j["scores"][d.name] = to_json(d, margin);
    j["flips"] = Json::array();
    for (const Flip & f : c.flips) j["flips"].push_back(to_json(f));
    return j;
}

}  // namespace kvt
