// A language model made of arithmetic: the logits are a fixed function of the token history, a plan adds a small wave whose size
// depends on its bits. Lets evaluation code be tested without weights, with results that can be worked out.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kvt/engine/model_runner.h"

namespace kvt::testing {

// --- Interface ---

class FakeRunner final : public ModelRunner {
public:
    // noise: what a plan of `payload` bits adds to logit i: noise * (16 - payload) * sin(i + position).
    explicit FakeRunner(int n_vocab = 50, double noise = 0.02, bool with_bos = false)
        : n_vocab_(n_vocab), noise_(noise), bos_(with_bos) {
        info_.name       = "fake";
        info_.arch       = "fake";
        info_.n_layer    = 2;
        info_.n_kv_heads = 1;
        info_.head_dim_k = info_.head_dim_v = 32;
    }

    static std::vector<float> logits(std::span<const Token> history, int n_vocab, double wave) {
        std::vector<float> row(static_cast<size_t>(n_vocab));
        const double       a = history.back(), b = history.size() > 1 ? history[history.size() - 2] : 0;
        for (size_t i = 0; i < row.size(); ++i) {
            const double x = static_cast<double>(i);
            row[i]         = static_cast<float>(3 * std::sin(0.7 * x + a) + 2 * std::cos(0.3 * x * (1 + b)) +
                                        wave * std::sin(x + static_cast<double>(history.size() - 1)));
        }
        return row;
    }

    double wave(const PrecisionPlan & plan) const { return noise_ * (16 - payload_bits(plan)); }

    int                      sessions_opened = 0;
    int                      poison_position = -1;  // logits there are NaN
    int                      longest_call    = 0;   // most tokens in one decode call
    bool                     refuse_plans    = false;
    bool                     refuse_rewind   = false;
    int64_t                  tokens_decoded  = 0;                // by sessions of one sequence
    std::string              form            = "fake template";  // empty: none
    std::vector<std::string> calls;                              // of slots: "feed 0 12", "copy 4 0", "step 0 1"

    const ModelInfo &   info() const override { return info_; }
    int                 n_vocab() const override { return n_vocab_; }
    int                 n_q_heads() const override { return 2; }
    int                 n_ctx_train() const override { return 256; }
    bool                adds_bos() const override { return bos_; }
    Token               bos() const override { return 1; }
    bool                is_end_of_generation(Token t) const override { return t == 2; }
    std::string         detokenize(std::span<const Token>) const override { return {}; }
    std::string         piece(Token t) const override { return std::string(1, static_cast<char>(t)); }
    std::string         chat_template() const override { return form; }
    Result<std::string> render_chat(std::span<const ChatTurn> turns, const std::string & given) const override {
        if (form.empty() && given.empty()) return Error{"no chat template"};
        std::string text;
        for (const ChatTurn & turn : turns) text += "<" + turn.role + ">" + turn.text;
        return text + "<answer>";
    }
    std::string                chat_prompt(std::string_view text) const override { return std::string(text); }
    Result<std::vector<Token>> tokenize(std::string_view text, AddSpecial) const override {
        std::vector<Token> out;
        for (const char c : text) out.push_back(static_cast<unsigned char>(c) % n_vocab_);
        return out;
    }

    Result<std::unique_ptr<Session>> open(const SessionOptions & options) override {
        if (refuse_plans && options.plan) return Error{"plans are refused"};
        ++sessions_opened;
        return std::unique_ptr<Session>(std::make_unique<FakeSession>(*this, options));
    }

    Result<std::unique_ptr<SlotSession>> open_slots(const SlotOptions & options) override {
        if (refuse_plans && options.session.plan) return Error{"plans are refused"};
        ++sessions_opened;
        return std::unique_ptr<SlotSession>(std::make_unique<FakeSlots>(*this, options));
    }

private:
    class FakeSlots final : public SlotSession {
    public:
        FakeSlots(FakeRunner & runner, const SlotOptions & options)
            : runner_(runner), options_(options), slots_(static_cast<size_t>(options.n_slots)) {}
        int      n_ctx() const override { return options_.session.n_ctx; }
        int      length(int slot) const override { return static_cast<int>(slots_[static_cast<size_t>(slot)].size()); }
        void     clear(int slot) override { slots_[static_cast<size_t>(slot)].clear(); }
        uint64_t kv_bytes() const override { return 1000; }
        void     copy(int from, int to) override {
            runner_.calls.push_back("copy " + std::to_string(from) + " " + std::to_string(to));
            slots_[static_cast<size_t>(to)] = slots_[static_cast<size_t>(from)];
        }
        Status feed(int slot, std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
            runner_.calls.push_back("feed " + std::to_string(slot) + " " + std::to_string(tokens.size()));
            for (const Token t : tokens) {
                const int at = length(slot);
                KVT_CHECK_OK(add(slot, t, at >= first_logits ? on_logits : LogitsFn{}, at));
            }
            return ok_status();
        }
        Status step(std::span<const SlotToken> tokens, const LogitsFn & on_logits) override {
            std::string call = "step";
            for (const SlotToken & t : tokens) call += " " + std::to_string(t.slot);
            runner_.calls.push_back(call);
            for (const SlotToken & t : tokens) KVT_CHECK_OK(add(t.slot, t.token, on_logits, t.slot));
            return ok_status();
        }

    private:
        Status add(int slot, Token token, const LogitsFn & on_logits, int about) {
            auto & history = slots_[static_cast<size_t>(slot)];
            if (static_cast<int>(history.size()) >= n_ctx()) return Error{"context full"};
            history.push_back(token);
            if (!on_logits) return ok_status();
            const auto & plan = options_.session.plan;
            auto         row  = logits(history, runner_.n_vocab_, plan ? runner_.wave(*plan) : 0.0);
            if (static_cast<int>(history.size()) - 1 == runner_.poison_position) row[3] = std::nanf("");
            on_logits(about, row);
            return ok_status();
        }

        FakeRunner &                    runner_;
        SlotOptions                     options_;
        std::vector<std::vector<Token>> slots_;
    };

    class FakeSession final : public Session {
    public:
        FakeSession(FakeRunner & runner, const SessionOptions & options) : runner_(runner), options_(options) {}
        void clear(int position) override {
            history_.clear();
            start_ = position;
        }
        int  position() const override { return start_ + static_cast<int>(history_.size()); }
        bool rewind(int position) override {
            if (runner_.refuse_rewind || position < start_ || position > this->position()) return false;
            history_.resize(static_cast<size_t>(position - start_));
            return true;
        }
        uint64_t kv_bytes() const override { return 1000; }
        Status   decode(std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
            runner_.longest_call = std::max(runner_.longest_call, static_cast<int>(tokens.size()));
            runner_.tokens_decoded += static_cast<int64_t>(tokens.size());
            const double wave = options_.plan ? runner_.wave(*options_.plan) : 0.0;
            for (const Token t : tokens) {
                  if (static_cast<int>(history_.size()) >= options_.n_ctx) return Error{"context full"};
                history_.push_back(t);
                  const int at = position() - 1;
                  if (at < first_logits || !on_logits) continue;
                auto row = logits(history_, runner_.n_vocab_, wave);
                  if (at == runner_.poison_position) row[3] = std::nanf("");
                on_logits(at, row);
            }
            return ok_status();
        }

    private:
        FakeRunner &       runner_;
        SessionOptions     options_;
        std::vector<Token> history_;
        int                start_ = 0;
    };

    ModelInfo info_;
    int       n_vocab_;
    double    noise_;
    bool      bos_;
};

// n pseudo-random tokens of a vocabulary.
inline std::vector<Token> fake_tokens(size_t n, int n_vocab = 50) {
    std::vector<Token> out(n);
    uint32_t           x = 12345;
    for (Token & t : out) {
        x = x * 1664525u + 1013904223u;
        t = static_cast<Token>((x >> 8) % static_cast<uint32_t>(n_vocab));
    }
    return out;
}

}  // namespace kvt::testing
