#include "kvt/tuner/profile/profile.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <omp.h>

#include "kvt/base/parallel_errors.h"
#include "kvt/tuner/profile/prompt_errors.h"

namespace kvt {

namespace {

// Collects what the tap reports into one LayerCapture per layer.
class Collector {
public:
    explicit Collector(const ModelInfo & model, int n_q_heads) : layers_(static_cast<size_t>(model.n_layer)) {
        for (LayerCapture & l : layers_) {
            l.n_kv_heads = model.n_kv_heads;
            l.n_q_heads  = n_q_heads;
            l.head_dim_k = model.head_dim_k;
            l.head_dim_v = model.head_dim_v;
        }
    }

    void start_prompt() {
        decoding_ = false;
        for (LayerCapture & l : layers_) {
            l.k.clear();
            l.v.clear();
            l.q.clear();
            l.n_tokens = l.n_steps = 0;
        }
    }
    void start_decoding() { decoding_ = true; }

    void take(const Tap & tap) {
        if (tap.layer < 0 || tap.layer >= static_cast<int>(layers_.size())) return;
        LayerCapture & l = layers_[static_cast<size_t>(tap.layer)];
        switch (tap.kind) {
            case Tap::Kind::k:
                append(tap, l.k);
                l.n_tokens += tap.n_tokens;
                break;
            case Tap::Kind::v:
                append(tap, l.v);
                break;
            case Tap::Kind::q:
                if (!decoding_) break;
                l.scale = tap.scale;
                append(tap, l.q);
                l.n_steps += tap.n_tokens;
                break;
        }
    }

    const std::vector<LayerCapture> & layers() const { return layers_; }

private:
    static void append(const Tap & tap, std::vector<float> & to) {
        for (int t = 0; t < tap.n_tokens; ++t) {
            for (int h = 0; h < tap.n_heads; ++h) {
                const float * from = tap.data + t * tap.stride_token + h * tap.stride_head;
                to.insert(to.end(), from, from + tap.head_dim);
            }
        }
    }

    std::vector<LayerCapture> layers_;
    bool                      decoding_ = false;
};

Token argmax(std::span<const float> logits) {
    return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Prefill and greedy generation of one prompt. End-of-generation tokens do not stop it: every prompt gives as many steps.
Status capture_prompt(ModelRunner & runner, Session & session, Collector & collector, const std::string & prompt,
                      const ProfileOptions & options) {
    KVT_TRY(std::vector<Token> tokens, runner.tokenize(runner.chat_prompt(prompt), AddSpecial::parse));
    if (tokens.empty()) return Error{"a calibration prompt has no tokens"};
    if (static_cast<int>(tokens.size()) > options.max_prompt) tokens.resize(static_cast<size_t>(options.max_prompt));
    session.clear();
    collector.start_prompt();
    Token      next = 0;
    const auto keep = [&](int, std::span<const float> logits) { next = argmax(logits); };
    KVT_CHECK_OK(session.decode(tokens, static_cast<int>(tokens.size()) - 1, keep));
    collector.start_decoding();
    for (int i = 0; i < options.n_generate; ++i) {
        const Token token = next;
        KVT_CHECK_OK(session.decode({&token, 1}, session.position(), keep));
    }
    return ok_status();
}

Status check_capture(const std::vector<LayerCapture> & layers, int n_generate) {
    for (size_t i = 0; i < layers.size(); ++i) {
        const LayerCapture & l = layers[i];
        const size_t         n = static_cast<size_t>(l.n_tokens) * static_cast<size_t>(l.n_kv_heads);
        const bool           complete =
            l.n_steps == n_generate && l.n_tokens > l.n_steps && l.k.size() == n * static_cast<size_t>(l.head_dim_k) &&
            l.v.size() == n * static_cast<size_t>(l.head_dim_v) &&
            l.q.size() == static_cast<size_t>(l.n_steps) * static_cast<size_t>(l.n_q_heads) * static_cast<size_t>(l.head_dim_k);
        if (!complete)
            return Error{
                fmt::format("layer {} showed {} tokens and {} decode queries of {}: this model's attention cannot be profiled", i,
                            l.n_tokens, l.n_steps, n_generate)};
    }
    return ok_status();
}

}  // namespace

Result<SensitivityTable> run_profile(ModelRunner & runner, const std::vector<std::string> & prompts,
                                     const ProfileOptions & options, const PromptStore & store, Progress & progress) {
    if (prompts.empty()) return Error{"no calibration prompts"};
    if (options.n_generate < 1)
        return Error{fmt::format("{} generated tokens: the profile needs at least 1", options.n_generate)};
    const ModelInfo & model = runner.info();
    Collector         collector(model, runner.n_q_heads());
    SessionOptions    session_options;
    session_options.plan      = f16_plan(model);
    session_options.n_ctx     = options.max_prompt + options.n_generate;
    session_options.n_threads = options.n_threads;
    session_options.tap       = [&collector](const Tap & tap) { collector.take(tap); };
    std::unique_ptr<Session> session;  // opened when the first prompt has to be run

    std::vector<std::vector<LayerErrors>> done;
    SensitivityTable                      table;
    progress.begin("profile", static_cast<int64_t>(prompts.size()));
    const auto finish = [&](Result<SensitivityTable> result) {
        progress.end();
        return result;
    };
    for (int p = 0; p < static_cast<int>(prompts.size()); ++p) {
        if (interrupted()) return finish(Error{"interrupted: run the same command again to go on"});
        auto stored = store.load(p);
        if (!stored) {
            if (!session) {
                auto opened = runner.open(session_options);
                if (!opened.ok()) return finish(opened.error());
                session = std::move(*opened);
            }
            Status status = capture_prompt(runner, *session, collector, prompts[static_cast<size_t>(p)], options);
            if (status.ok()) status = check_capture(collector.layers(), options.n_generate);
            if (!status.ok()) return finish(status.error());
            std::vector<LayerErrors> layers(collector.layers().size());
            ParallelErrors           errors;
#pragma omp parallel for schedule(dynamic) num_threads(options.n_threads > 0 ? options.n_threads : omp_get_num_procs())
            for (int l = 0; l < static_cast<int>(layers.size()); ++l) {
                errors.run([&] {
                    layers[static_cast<size_t>(l)] =
                        prompt_errors(collector.layers()[static_cast<size_t>(l)], options.mode, options.eps);
                });
                layers[static_cast<size_t>(l)].layer = l;
            }
            errors.rethrow();
            const Status saved = store.save(p, layers);
            if (!saved.ok()) return finish(saved.error());
            stored = std::move(layers);
        }
        done.push_back(std::move(*stored));
        progress.done(1);
    }
    table.model       = model;
    table.mode        = options.mode;
    table.eps         = options.eps;
    table.n_prompts   = static_cast<int>(prompts.size());
    table.n_generated = options.n_generate;
    table.n_tokens    = static_cast<int64_t>(prompts.size()) * options.n_generate;
    for (size_t l = 0; l < done.front().size(); ++l) {
        std::vector<LayerErrors> of_layer;
        for (const auto & prompt : done) of_layer.push_back(prompt[l]);
        table.layers.push_back(mean_errors(of_layer));
    }
    return finish(std::move(table));
}

}  // namespace kvt
