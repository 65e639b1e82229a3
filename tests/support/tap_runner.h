// The arithmetic model of fake_runner.h with attention taps: K, V and Q are a fixed function of layer, position and channel, so
// that the profiler and whole tuning runs can be tested without weights.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/fake_runner.h"

namespace kvt::testing {

// --- Interface ---

class TapRunner final : public ModelRunner {
public:
    FakeRunner model;
    bool       silent       = false;  // no taps at all, as an attention op that the plugin never sees
    int        fail_session = -1;     // this session (counted from 1) refuses to decode
    int        decoded      = 0;      // tokens fed to sessions with taps
    int        sessions     = 0;

    TapRunner() : info_(model.info()) { info_.file_sha256 = std::string(64, 'a'); }  // as the engine fills it for a file

    const ModelInfo &   info() const override { return info_; }
    int                 n_vocab() const override { return model.n_vocab(); }
    int                 n_q_heads() const override { return model.n_q_heads(); }
    int                 n_ctx_train() const override { return model.n_ctx_train(); }
    bool                adds_bos() const override { return model.adds_bos(); }
    Token               bos() const override { return model.bos(); }
    bool                is_end_of_generation(Token t) const override { return model.is_end_of_generation(t); }
    std::string         detokenize(std::span<const Token> t) const override { return model.detokenize(t); }
    std::string         piece(Token t) const override { return model.piece(t); }
    std::string         chat_template() const override { return model.chat_template(); }
    Result<std::string> render_chat(std::span<const ChatTurn> turns, const std::string & form) const override {
        return model.render_chat(turns, form);
    }
    Result<std::unique_ptr<SlotSession>> open_slots(const SlotOptions & options) override { return model.open_slots(options); }
    std::string                          chat_prompt(std::string_view text) const override { return model.chat_prompt(text); }
    Result<std::vector<Token>> tokenize(std::string_view text, AddSpecial a) const override { return model.tokenize(text, a); }

    Result<std::unique_ptr<Session>> open(const SessionOptions & options) override {
        ++sessions;
        if (sessions == fail_session) return Error{"planted failure"};
        KVT_TRY(auto inner, model.open(options));
        return std::unique_ptr<Session>(std::make_unique<TapSession>(*this, std::move(inner), options.tap));
    }

    // What every head holds at (layer, position, channel); keys differ from values and queries by `kind`.
    static float value(Tap::Kind kind, int layer, int position, int channel) {
        return static_cast<float>(std::sin(0.37 * channel + 1.3 * position + static_cast<double>(kind)) * (layer + 1));
    }

private:
    class TapSession final : public Session {
    public:
        TapSession(TapRunner & runner, std::unique_ptr<Session> inner, TapFn tap)
            : runner_(runner), inner_(std::move(inner)), tap_(std::move(tap)) {}
        void     clear(int position) override { inner_->clear(position); }
        int      position() const override { return inner_->position(); }
        bool     rewind(int position) override { return inner_->rewind(position); }
        uint64_t kv_bytes() const override { return inner_->kv_bytes(); }
        Status   decode(std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
            if (tap_ && !runner_.silent) {
                  runner_.decoded += static_cast<int>(tokens.size());
                  for (int layer = 0; layer < runner_.info().n_layer; ++layer) {
                      for (const Tap::Kind kind : {Tap::Kind::k, Tap::Kind::v, Tap::Kind::q})
                        send(kind, layer, static_cast<int>(tokens.size()));
                }
            }
              return inner_->decode(tokens, first_logits, on_logits);
        }

    private:
        void send(Tap::Kind kind, int layer, int n_tokens) {
            const int dim   = runner_.info().head_dim_k,
                      heads = kind == Tap::Kind::q ? runner_.n_q_heads() : runner_.info().n_kv_heads;
            std::vector<float> data;
            for (int t = 0; t < n_tokens; ++t) {
                for (int i = 0; i < heads * dim; ++i) data.push_back(value(kind, layer, position() + t, i % dim));
            }
            Tap tap;
            tap.kind         = kind;
            tap.layer        = layer;
            tap.n_tokens     = n_tokens;
            tap.n_heads      = heads;
            tap.head_dim     = dim;
            tap.scale        = 0.18f;
            tap.data         = data.data();
            tap.stride_token = heads * dim;
            tap.stride_head  = dim;
            tap_(tap);
        }

        TapRunner &              runner_;
        std::unique_ptr<Session> inner_;
        TapFn                    tap_;
    };

    ModelInfo info_;
};

}  // namespace kvt::testing
