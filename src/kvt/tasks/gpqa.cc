// GPQA: multiple choice from the user's CSV. Its terms forbid showing examples, so no message and no verdict here holds its text.
#include "kvt/tasks/gpqa.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/rng.h"
#include "kvt/base/sha256.h"
#include "kvt/base/utf8.h"
#include "kvt/tasks/common.h"
#include "kvt/tasks/csv.h"
#include "kvt/tasks/openers.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

constexpr size_t kDiamondRows = 198;
constexpr int    kNewTokens   = 32768;
constexpr char   kHint[] =
    "gpqa needs gpqa_diamond.csv, which is not passed on: accept the terms of Idavidrein/gpqa on Hugging Face and take it there, "
    "or from "
    "dataset.zip of github.com/idavidrein/gpqa; then name it with --data FILE";

struct Question {
    std::string                        id, question;
    std::array<std::string, 4>         options;  // the right one first
    std::map<std::string, std::string> groups;
    std::array<int, 4>                 order{};
    int gold() const { return static_cast<int>(std::find(order.begin(), order.end(), 0) - order.begin()); }
};

// lm-evaluation-harness' cleaning of the log-likelihood variant.
std::string cleaned(std::string_view text) { return replaced(replaced(trimmed(text), " [title]", ". "), "  ", " "); }

// (?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?, first match; 0 without one.
char answer_letter(std::string_view response) {
    const std::string text  = lower_ascii(without_thinking(response));
    const auto        blank = [&](size_t at) {
        while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
        return at;
    };
    for (size_t found = text.find("answer"); found != std::string::npos; found = text.find("answer", found + 1)) {
        size_t at = blank(found + 6);
        if (at >= text.size() || text[at] != ':') continue;
        at = blank(at + 1);
        if (at < text.size() && text[at] == '$') ++at;
        if (at < text.size() && text[at] >= 'a' && text[at] <= 'd') return static_cast<char>(text[at] - 'a' + 'A');
    }
    return 0;
}

class Gpqa : public BasicTask {
public:
    Gpqa(TaskHeader header, std::vector<Question> questions) : BasicTask(std::move(header)), questions_(std::move(questions)) {}

protected:
    Result<TaskItem> make_item(size_t index) const override {
        const Question &           q = questions_[index];
        std::array<std::string, 4> shown;
        for (size_t i = 0; i < 4; ++i) shown[i] = q.options[static_cast<size_t>(q.order[i])];
        TaskItem item{q.id, {}, {}, {}, std::string(1, static_cast<char>('A' + q.gold())), {}, q.gold(), q.groups};
        item.continuations = {" (A)", " (B)", " (C)", " (D)"};
        if (header_.variant == "loglikelihood") {
            for (std::string & option : shown) option = cleaned(option);
            item.text =
                fmt::format("What is the correct answer to this question:{}\nChoices:\n(A) {}\n(B) {}\n(C) {}\n(D) {}\nAnswer:",
                            cleaned(q.question), shown[0], shown[1], shown[2], shown[3]);
            return item;
        }
        item.turns.push_back(
            {Turn::Role::user,
             fmt::format(
                 "Answer the following multiple choice question. The last line of your response should be of the following "
                 "format: "
                 "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n{}\n\n"
                 "A) {}\nB) {}\nC) {}\nD) {}",
                 q.question, shown[0], shown[1], shown[2], shown[3])});
        return item;
    }

    Verdict grade(size_t index, std::string_view response) const override {
        const char letter = answer_letter(response);
        Verdict    verdict;
        verdict.extracted = letter == 0 ? std::string(kInvalid) : std::string(1, letter);
        verdict.rule      = letter == 0 ? "none" : "answer_letter";
        verdict.scores    = {{"correct", letter == 'A' + questions_[index].gold() ? 1.0 : 0.0}};
        return verdict;
    }

private:
    std::vector<Question> questions_;
};

Result<std::vector<Question>> questions_of(const std::string & path, std::string_view bytes, uint64_t seed,
                                           std::vector<std::string> & warnings) {
    const auto error = [&](const std::string & what) { return Error{fmt::format("\"{}\": {}", path, what)}; };
    if (bytes.empty()) return error("row 1: the file is empty");
    if (!is_utf8(bytes)) return error("not UTF-8");
    const auto parsed = parse_csv(bytes);
    if (!parsed.ok()) return error(parsed.error().message);
    const auto & rows   = *parsed;
    const auto   column = [&](std::string_view name) {
        return static_cast<size_t>(std::find(rows[0].begin(), rows[0].end(), name) - rows[0].begin());
    };
    constexpr std::string_view kNeeded[] = {"Question",           "Correct Answer",     "Incorrect Answer 1",
                                            "Incorrect Answer 2", "Incorrect Answer 3", "Record ID"};
    for (const std::string_view name : kNeeded) {
        if (column(name) == rows[0].size()) return error(fmt::format("row 1: there is no column \"{}\"", name));
    }
    std::vector<Question> questions;
    std::set<std::string> seen;
    for (size_t r = 1; r < rows.size(); ++r) {
        std::string values[6];
        for (size_t k = 0; k < 6; ++k) {
            const size_t at = column(kNeeded[k]);
            if (at >= rows[r].size()) return error(fmt::format("row {}: there is no column \"{}\"", r + 1, kNeeded[k]));
            values[k] = std::string(trimmed(rows[r][at]));
            if (values[k].empty()) return error(fmt::format("row {}: the column \"{}\" is empty", r + 1, kNeeded[k]));
        }
        Question q{values[5], values[0], {values[1], values[2], values[3], values[4]}, {}, option_order(values[5], seed)};
        if (!seen.insert(q.id).second)
            return error(fmt::format("row {}: the column \"Record ID\" repeats an earlier row", r + 1));
        if (std::set<std::string>(q.options.begin(), q.options.end()).size() < 4) {
            warnings.push_back(fmt::format("row {} has two equal options", r + 1));
        }
        for (const auto & [name, group] : {std::pair{"High-level domain", "domain"}, std::pair{"Subdomain", "subdomain"}}) {
            if (const size_t at = column(name); at < rows[r].size()) q.groups[group] = std::string(trimmed(rows[r][at]));
        }
        questions.push_back(std::move(q));
    }
    if (questions.empty()) return error("row 2: there is no question");
    if (questions.size() != kDiamondRows) {
        warnings.push_back(fmt::format("{} questions instead of the {} of GPQA Diamond", questions.size(), kDiamondRows));
    }
    return questions;
}

}  // namespace

std::array<int, 4> option_order(std::string_view record_id, uint64_t seed) {
    std::array<uint64_t, 4> keys{};
    for (size_t i = 0; i < 4; ++i) keys[i] = splitmix64_finaliser(fnv1a64(fmt::format("{}\n{}\n{}", record_id, seed, i)));
    std::array<int, 4> order{0, 1, 2, 3};
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return keys[static_cast<size_t>(a)] < keys[static_cast<size_t>(b)]; });
    return order;
}

Result<std::unique_ptr<Task>> open_gpqa(const TaskOptions & options) {
    KVT_TRY(const std::string variant, checked_variant(options, {"generation", "loglikelihood"}, Known::nothing));
    if (options.data.empty()) return Error{kHint};
    if (options.data.size() > 1) return Error{fmt::format("gpqa: {} data files were given, it reads one", options.data.size())};
    KVT_TRY(const std::string bytes, read_file(options.data[0]));
    std::vector<std::string> warnings;
    KVT_TRY(auto questions, questions_of(options.data[0], bytes, options.seed, warnings));
    TaskHeader header   = task_header(options, variant, questions.size(), kNewTokens);
    header.data_name    = file_name(options.data[0]);
    header.data_sha256  = sha256_hex(bytes);
    header.private_text = true;
    header.warnings     = std::move(warnings);
    return std::unique_ptr<Task>(new Gpqa(std::move(header), std::move(questions)));
}

}  // namespace kvt::tasks
