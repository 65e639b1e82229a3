#include "kvt/engine/llama/llama_runner.h"

#include <algorithm>
#include <climits>
#include <exception>
#include <vector>

#include <fmt/format.h>
#include <llama.h>

namespace kvt {

// --- Implementation ---

void LlamaModelDeleter::operator()(llama_model * model) const { llama_model_free(model); }

namespace {

// What `write` puts into a buffer of `room` bytes; it returns the length, or less than 0: that many are needed.
template <class Write>
std::string written(size_t room, const Write & write) {
    std::string text(room, '\0');
    for (int attempt = 0; attempt < 2; ++attempt) {
        const int n = write(text.data(), static_cast<int32_t>(text.size()));
        text.resize(static_cast<size_t>(n < 0 ? -n : n));
        if (n >= 0) break;
    }
    return text;
}

class LlamaRunner final : public ModelRunner {
public:
    explicit LlamaRunner(std::shared_ptr<const LoadedModel> model) : model_(std::move(model)) {}

    const ModelInfo & info() const override { return model_->info; }
    int               n_vocab() const override { return llama_vocab_n_tokens(model_->vocab); }
    int               n_q_heads() const override { return llama_model_n_head(model_->model.get()); }
    int               n_ctx_train() const override { return llama_model_n_ctx_train(model_->model.get()); }
    bool              adds_bos() const override { return llama_vocab_get_add_bos(model_->vocab) && bos() >= 0; }
    Token             bos() const override { return llama_vocab_bos(model_->vocab); }

    bool is_end_of_generation(Token token) const override {
        return token >= 0 && token < n_vocab() && llama_vocab_is_eog(model_->vocab, token);
    }

    Result<std::vector<Token>> tokenize(std::string_view text, AddSpecial special) const override {
        // Room for one token per byte and the special ones; llama.cpp counts in 32 bits.
        if (text.size() > INT_MAX / 2) return Error{fmt::format("text of {} bytes is too long (at most 1 GiB)", text.size())};
        const bool         parse = special == AddSpecial::parse;
        std::vector<Token> tokens(text.size() + 16);
        int                n = 0;
        try {
            n = llama_tokenize(model_->vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                               static_cast<int32_t>(tokens.size()), special == AddSpecial::yes, parse);
        } catch (const std::exception & error) {
            return Error{fmt::format("the text cannot be tokenized: {} (is it UTF-8?)", error.what())};
        }
        if (n < 0) return Error{fmt::format("the text of {} bytes cannot be tokenized", text.size())};
        tokens.resize(static_cast<size_t>(n));
        if (parse && adds_bos() && (tokens.empty() || tokens[0] != bos())) tokens.insert(tokens.begin(), bos());
        return tokens;
    }

    std::string detokenize(std::span<const Token> tokens) const override {
        for (const Token t : tokens) {
            if (t < 0 || t >= n_vocab()) return {};
        }
        return written(tokens.size() * 8 + 64, [&](char * out, int32_t size) {
            return llama_detokenize(model_->vocab, tokens.data(), static_cast<int32_t>(tokens.size()), out, size, false, true);
        });
    }

    std::string piece(Token token) const override {
        if (token < 0 || token >= n_vocab()) return {};
        return written(32, [&](char * out, int32_t size) {
            return llama_token_to_piece(model_->vocab, token, out, size, 0, /*special=*/false);
        });
    }

    std::string chat_template() const override {
        const char * form = llama_model_chat_template(model_->model.get(), nullptr);
        return form == nullptr ? "" : form;
    }

    Result<std::string> render_chat(std::span<const ChatTurn> turns, const std::string & given) const override {
        const std::string form = given.empty() ? chat_template() : given;
        if (form.empty()) return Error{fmt::format("model {} has no chat template", model_->path)};
        std::vector<llama_chat_message> messages;
        size_t                          bytes = 1024;
        for (const ChatTurn & turn : turns) {
            messages.push_back({turn.role.c_str(), turn.text.c_str()});
            bytes += 2 * turn.text.size() + 64;
        }
        std::string out(bytes, '\0');
        for (int attempt = 0; attempt < 2; ++attempt) {
            const int n = llama_chat_apply_template(form.c_str(), messages.data(), messages.size(), true, out.data(),
                                                    static_cast<int32_t>(out.size()));
            if (n < 0) {
                return Error{fmt::format("llama.cpp does not know the chat template of {} (it begins \"{}\")",
                                         given.empty() ? model_->path : "--chat-template", form.substr(0, 40))};
            }
            const bool fits = static_cast<size_t>(n) <= out.size();
            out.resize(static_cast<size_t>(n));
            if (fits) break;
        }
        return out;
    }

    std::string chat_prompt(std::string_view user_text) const override {
        const ChatTurn turn{"user", std::string(user_text)};
        auto           rendered = render_chat({&turn, 1}, "");
        return rendered.ok() ? std::move(*rendered) : turn.text;
    }

    Result<std::unique_ptr<Session>> open(const SessionOptions & options) override { return open_session(model_, options); }

    Result<std::unique_ptr<SlotSession>> open_slots(const SlotOptions & options) override {
        return open_slot_session(model_, options);
    }

private:
    std::shared_ptr<const LoadedModel> model_;
};

}  // namespace

std::unique_ptr<ModelRunner> make_runner(std::shared_ptr<const LoadedModel> model) {
    return std::make_unique<LlamaRunner>(std::move(model));
}

}  // namespace kvt
