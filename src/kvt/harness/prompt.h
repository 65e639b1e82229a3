// An item of a task as the model gets it: chat template, special tokens, hash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/tasks/task.h"

namespace kvt {

// --- Interface ---

const char * role_name(Turn::Role role);  // "system", "user", "assistant"

struct Prompt {
    std::string        text;                  // rendered, with the answer prefix; empty when a server renders the turns
    std::vector<Token> tokens;                // BOS in front where the model wants one
    std::string        sha256;                // of the text, or of the turns when there is no text
    bool               control_text = false;  // the data holds the text of a control token
};

// `chat_template`: a template's text or name, empty for the model's own. Errors: turns without a template that llama.cpp knows,
// text that cannot be tokenized.
Result<Prompt> render_prompt(const ModelRunner & model, const TaskItem & item, const std::string & chat_template);

// Tokens of the same prompt and nothing else of it: tasks that fit their texts to a length ask this some 20 times an item.
Result<int> count_tokens(const ModelRunner & model, const TaskItem & item, const std::string & chat_template);

// Without a model: what a server that applies its own template is asked.
Prompt turns_prompt(const TaskItem & item);

struct TaskPrompts {
    std::vector<TaskItem> items;
    std::vector<Prompt>   prompts;
    std::vector<Token>    shared;  // what all prompts begin with, if it is worth computing once
    std::string           sha256;  // over all prompts
    int                   longest = 0;
};

using Render = std::function<Result<Prompt>(const TaskItem &)>;

// All items of a task. Errors: those of the task (named by item) and of rendering.
Result<TaskPrompts> load_items(const Task & task, const Render & render, Progress & progress);

}  // namespace kvt
