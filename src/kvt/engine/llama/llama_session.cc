#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <llama.h>

#include "kvt/engine/llama/context.h"
#include "kvt/engine/llama/llama_runner.h"
#include "kvt/engine/llama/token_batch.h"

namespace kvt {

// --- Implementation ---

namespace {

// The plugin has one tap for the process; it is this session's while its graph runs.
class TapInPlace {
public:
    TapInPlace(Plugin * plugin, const TapFn & tap) : plugin_(tap ? plugin : nullptr) {
        if (plugin_ != nullptr) plugin_->set_tap(tap);
    }
    ~TapInPlace() {
        if (plugin_ != nullptr) plugin_->set_tap({});
    }
    TapInPlace(const TapInPlace &)             = delete;
    TapInPlace & operator=(const TapInPlace &) = delete;

private:
    Plugin * plugin_;
};

class LlamaSession final : public Session {
public:
    LlamaSession(std::shared_ptr<const LoadedModel> model, const SessionOptions & options, LlamaContext context)
        : model_(std::move(model)), options_(options), context_(std::move(context)) {}

    void clear(int position) override {
        llama_memory_clear(llama_get_memory(context_.get()), true);
        start_ = position_ = position;
    }

    int position() const override { return position_; }

    bool rewind(int position) override {
        if (position < start_ || position > position_) return false;
        const llama_memory_t memory = llama_get_memory(context_.get());
        // Layers with a window drop what it has passed, and llama.cpp would cut behind such a hole without a word.
        const int window = llama_model_n_swa(model_->model.get());
        if (window > 0 && llama_memory_seq_pos_min(memory, 0) > std::max(start_, position - window)) return false;
        if (!llama_memory_seq_rm(memory, 0, position, -1)) return false;
        position_ = position;
        return true;
    }

    Status decode(std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
        if (tokens.size() > static_cast<size_t>(options_.n_ctx - (position_ - start_))) {
            return Error{fmt::format("context full: {} tokens after position {} do not fit in {} cells", tokens.size(), position_,
                                     options_.n_ctx)};
        }
        for (const Token t : tokens) KVT_CHECK_OK(check_token(*model_, t));
        const TapInPlace tap(model_->plugin, options_.tap);
        while (!tokens.empty()) {
            const auto n = std::min(tokens.size(), static_cast<size_t>(options_.n_batch));
            KVT_CHECK_OK(step(tokens.first(n), first_logits));
            KVT_CHECK_OK(deliver(n, first_logits, on_logits));
            position_ += static_cast<int>(n);
            tokens = tokens.subspan(n);
        }
        return ok_status();
    }

    uint64_t kv_bytes() const override {
        const PrecisionPlan plan = options_.plan ? *options_.plan : f16_plan(model_->info);
        return plan_size(plan, llama_n_ctx(context_.get())).bytes;
    }

private:
    Status step(std::span<const Token> tokens, int first_logits) {
        batch_.clear();
        for (int at = position_; const Token t : tokens) {
            batch_.add(t, at, 0, at >= first_logits);
            ++at;
        }
        const std::string why = decode_batch(*model_, context_.get(), batch_.view(), options_.plan.has_value());
        if (why.empty()) return ok_status();
        if (why == kInterrupted) return Error{why};
        return Error{fmt::format("decoding {} tokens at position {} failed: {}", tokens.size(), position_, why)};
    }

    Status deliver(size_t n, int first_logits, const LogitsFn & on_logits) {
        for (size_t i = 0; i < n; ++i) {
            const int at = position_ + static_cast<int>(i);
            if (at < first_logits || !on_logits) continue;
            KVT_TRY(const auto logits, logits_of(*model_, context_.get(), i));
            on_logits(at, logits);
        }
        return ok_status();
    }

    std::shared_ptr<const LoadedModel> model_;
    SessionOptions                     options_;
    LlamaContext                       context_;
    int                                position_ = 0, start_ = 0;
    TokenBatch                         batch_;
};

}  // namespace

Result<std::unique_ptr<Session>> open_session(std::shared_ptr<const LoadedModel> model, const SessionOptions & given) {
    SessionOptions options = given;
    options.n_batch        = std::min(options.n_batch, options.n_ctx);
    KVT_TRY(auto context, make_context(*model, options, 1));
    return std::unique_ptr<Session>(std::make_unique<LlamaSession>(std::move(model), options, std::move(context)));
}

}  // namespace kvt
