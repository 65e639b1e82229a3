// A benchmark for tests: short prompts with a common start, of which some answers are right.
#pragma once

#include <algorithm>
#include <string>

#include "kvt/tasks/task.h"

namespace kvt::testing {

// --- Interface ---

// Item i asks "<start><word i>", gold is `gold(i)`; an answer is right if its length modulo 2 is i modulo 2, so that verdicts
// depend on the whole text, and "loose" right if it holds the letter e. Scores "exact" and "loose".
class FakeTask final : public Task {
public:
    explicit FakeTask(int n_items = 12, int max_new_tokens = 24) {
        header_.name = "fake", header_.variant = "text", header_.data_name = "none", header_.data_sha256 = std::string(64, 'd');
        header_.n_items = n_items, header_.max_new_tokens = max_new_tokens;
        header_.stops = {"\n"};
    }

    TaskHeader  header_;
    std::string start = "Once upon a time there was a little girl who played in the park with her friends. One day she met ";
    bool        chat = false, with_continuations = false;
    bool        scores = true;  // false: as a code task without consent
    mutable int scored = 0;

    const TaskHeader & header() const override { return header_; }

    Result<TaskItem> item(int index) const override {
        static const char * const kWords[] = {"Lily", "Sue", "Anna", "Mia", "Tom who", "Amy", "Ben and", "Lucy"};
        TaskItem                  item;
        item.id          = std::to_string(index);
        std::string text = start + kWords[index % 8] + (index < 8 ? "" : " the " + std::to_string(index)) + " and";
        if (chat) {
            item.turns = {{Turn::Role::user, std::move(text)}};
        } else {
            item.text = std::move(text);
        }
        item.gold             = std::to_string(index % 2);
        item.groups["parity"] = item.gold;
        if (with_continuations) item.continuations = {" she was happy", "xyzzy qqq", "zz"};
        return item;
    }

    Verdict score(int index, std::string_view response) const override {
        ++scored;
        Verdict v;
        if (!scores) return v;
        v.extracted = std::to_string(response.size() % 2);
        v.rule      = "length";
        v.scores    = {{"exact", v.extracted == std::to_string(index % 2) ? 1.0 : 0.0},
                       {"loose", response.find('e') != std::string_view::npos ? 1.0 : 0.0}};
        if (response.empty()) v.flags.push_back("no_answer");
        return v;
    }
};

}  // namespace kvt::testing
