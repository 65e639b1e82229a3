// One benchmark: its items as prompts, and the verdict on a response. Knows no language model.
//
// A task holds what its data file says and how the field scores it (evaluation.md); it does not generate. Whoever runs it asks
// for item i, lets a model answer, and hands the answer back to score. Items and verdicts depend on the data, the options and the
// seed alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

struct Turn {
    enum class Role : uint8_t { system, user, assistant };
    Role        role = Role::user;
    std::string text;
};

struct TaskItem {
    std::string       id;             // the id field of the data, else the 0-based line
    std::vector<Turn> turns;          // rendered with the model's chat template; empty: `text` is the prompt as it stands
    std::string       text;           // prompt without a template (turns is empty)
    std::string       answer_prefix;  // stands after the generation prompt and is not part of the response
    std::string       gold;           // as recorded; the letter only for GPQA
    // Continuations whose log-likelihood can be asked for: the reference answer, or one per choice.
    std::vector<std::string> continuations;
    int                      gold_continuation = 0;
    // Breakdowns of the summary: {"level", "3"}, {"depth", "50"}.
    std::map<std::string, std::string> groups;
};

struct Verdict {
    std::string                                 extracted;  // "[invalid]" when nothing matched
    std::string                                 rule;       // which extraction rule fired
    std::vector<std::pair<std::string, double>> scores;     // each in [0, 1]; the first is the headline
    std::vector<std::string>                    flags;      // "no_answer", "unclosed", "bad_utf8"
    std::string                                 error;      // not empty: an item error, counted as wrong
};

// What decides the items, as it stands in the header of a record.
struct TaskHeader {
    std::string              name, variant;  // "gsm8k", "text"
    std::string              data_name, data_sha256;
    int                      n_items = 0, shots = 0, max_new_tokens = 0;
    std::vector<std::string> stops;
    bool                     private_text = false;  // prompts and responses must never be stored (GPQA)
    std::vector<std::string> warnings;
};

class Task {
public:
    virtual ~Task()                                                              = default;
    virtual const TaskHeader & header() const                                    = 0;
    virtual Result<TaskItem>   item(int index) const                             = 0;
    virtual Verdict            score(int index, std::string_view response) const = 0;
};

struct TaskOptions {
    std::string              name, variant;  // an empty variant is the task's default
    std::vector<std::string> data;           // files given by the user; empty: what is installed or found (docs/guide/tasks.md)
    int                      limit = 0, shots = -1, max_new_tokens = 0;  // 0, -1: the task's own
    uint64_t                 seed = 0;
    // Needle tasks: length in tokens of the whole prompt and answer, and how the model counts tokens of a rendered prompt.
    int                                          length = 0;
    std::function<Result<int>(const TaskItem &)> count_tokens;
    // Code tasks: without consent responses are stored unscored.
    bool        allow_code_execution = false;
    std::string window;  // LiveCodeBench: "2025-01..2025-04" or a preset
};

// Errors: unknown name or variant, a data file that is missing or broken (file, line and field named), options out of range.
Result<std::unique_ptr<Task>> open_task(const TaskOptions & options);

std::vector<std::string> task_names();  // in the order of docs/guide/tasks.md

// Whether the task makes its items out of word lists and a seed, so that there is no split to keep apart.
bool makes_own_items(std::string_view task);

}  // namespace kvt
