#include "kvt/harness/prompt.h"

#include <algorithm>

#include <fmt/format.h>

#include "kvt/base/sha256.h"

namespace kvt {

// --- Implementation ---

const char * role_name(Turn::Role role) {
    return role == Turn::Role::system ? "system" : role == Turn::Role::user ? "user" : "assistant";
}

namespace {

constexpr size_t kWorthSharing = 16;  // tokens; below, a copy of the cache costs more than computing them

// True if some text of the data would become a control token.
Result<bool> holds_control_text(const ModelRunner & model, const TaskItem & item) {
    std::vector<const std::string *> texts{&item.text};
    for (const Turn & turn : item.turns) texts.push_back(&turn.text);
    for (const std::string * text : texts) {
        KVT_TRY(auto plain, model.tokenize(*text, AddSpecial::no));
        KVT_TRY(auto parsed, model.tokenize(*text, AddSpecial::parse));
        if (!parsed.empty() && model.adds_bos() && parsed[0] == model.bos()) parsed.erase(parsed.begin());
        if (plain != parsed) return true;
    }
    return false;
}

std::vector<Token> common_start(const std::vector<Prompt> & prompts) {
    if (prompts.size() < 2) return {};
    std::vector<Token> common = prompts[0].tokens;
    for (const Prompt & p : prompts) {
        const size_t n = std::min(common.size(), p.tokens.size());
        common.resize(static_cast<size_t>(
            std::mismatch(common.begin(), common.begin() + static_cast<ptrdiff_t>(n), p.tokens.begin()).first - common.begin()));
    }
    // Every prompt keeps a token of its own, whose logits begin the answer.
    for (const Prompt & p : prompts) common.resize(std::min(common.size(), p.tokens.empty() ? 0 : p.tokens.size() - 1));
    if (common.size() < kWorthSharing) common.clear();
    return common;
}

Result<std::string> render_text(const ModelRunner & model, const TaskItem & item, const std::string & chat_template) {
    if (item.turns.empty()) return item.text + item.answer_prefix;
    std::vector<ChatTurn> turns;
    for (const Turn & turn : item.turns) turns.push_back({role_name(turn.role), turn.text});
    KVT_TRY(const std::string text, model.render_chat(turns, chat_template));
    return text + item.answer_prefix;
}

}  // namespace

Result<int> count_tokens(const ModelRunner & model, const TaskItem & item, const std::string & chat_template) {
    KVT_TRY(const std::string text, render_text(model, item, chat_template));
    KVT_TRY(const auto tokens, model.tokenize(text, AddSpecial::parse));
    return static_cast<int>(tokens.size());
}

Result<Prompt> render_prompt(const ModelRunner & model, const TaskItem & item, const std::string & chat_template) {
    Prompt prompt;
    KVT_TRY(prompt.text, render_text(model, item, chat_template));
    prompt.sha256 = sha256_hex(prompt.text);
    KVT_TRY(prompt.tokens, model.tokenize(prompt.text, AddSpecial::parse));
    KVT_TRY(prompt.control_text, holds_control_text(model, item));
    return prompt;
}

Prompt turns_prompt(const TaskItem & item) {
    Prompt prompt;
    if (item.turns.empty()) {
        prompt.text   = item.text + item.answer_prefix;
        prompt.sha256 = sha256_hex(prompt.text);
        return prompt;
    }
    std::string all;
    for (const Turn & turn : item.turns) all += fmt::format("{}\n{}\n", role_name(turn.role), turn.text);
    prompt.sha256 = sha256_hex(all + item.answer_prefix);
    return prompt;
}

Result<TaskPrompts> load_items(const Task & task, const Render & render, Progress & progress) {
    TaskPrompts all;
    std::string hashes;
    const int   n = task.header().n_items;
    progress.begin("reading items", n);
    for (int i = 0; i < n; ++i) {
        if (interrupted()) return Error{"interrupted"};
        KVT_TRY(TaskItem item, task.item(i));
        auto prompt = render(item);
        if (!prompt.ok()) return Error{fmt::format("item {}: {}", item.id, prompt.error().message)};
        hashes += prompt->sha256;
        all.longest = std::max(all.longest, static_cast<int>(prompt->tokens.size()));
        all.items.push_back(std::move(item));
        all.prompts.push_back(std::move(*prompt));
        progress.done(1);
    }
    progress.end();
    if (all.items.empty()) return Error{fmt::format("task {} has no items", task.header().name)};
    all.sha256 = sha256_hex(hashes);
    all.shared = common_start(all.prompts);
    return all;
}

}  // namespace kvt
