#include <algorithm>
#include <exception>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <llama.h>

#include "kvt/base/progress.h"
#include "kvt/engine/llama/host_log.h"
#include "kvt/engine/llama/llama_runner.h"

namespace kvt {

// --- Implementation ---

namespace {

constexpr int kMaxContext = 1 << 24;

struct ContextDeleter {
    void operator()(llama_context * context) const { llama_free(context); }
};

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
    LlamaSession(std::shared_ptr<const LoadedModel> model, const SessionOptions & options,
                 std::unique_ptr<llama_context, ContextDeleter> context)
        : model_(std::move(model)), options_(options), context_(std::move(context)) {
        const auto n = static_cast<size_t>(options_.n_batch);
        positions_.resize(n);
        n_seqs_.assign(n, 1);
        seqs_.assign(n, &sequence_);
        flags_.resize(n);
    }

    void clear(int position) override {
        llama_memory_clear(llama_get_memory(context_.get()), true);
        start_ = position_ = position;
    }

    int position() const override { return position_; }

    Status decode(std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
        if (tokens.size() > static_cast<size_t>(options_.n_ctx - (position_ - start_))) {
            return Error{fmt::format("context full: {} tokens after position {} do not fit in {} cells", tokens.size(), position_,
                                     options_.n_ctx)};
        }
        const int n_vocab = llama_vocab_n_tokens(model_->vocab);
        for (const Token t : tokens) {
            if (t < 0 || t >= n_vocab) return Error{fmt::format("token {} is not in the vocabulary of {}", t, n_vocab)};
        }
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
        const PrecisionPlan plan = options_.plan ? *options_.plan : uniform_plan(model_->info, Mode::custom, 16, 16);
        return plan_size(plan, llama_n_ctx(context_.get())).bytes;
    }

private:
    Status step(std::span<const Token> tokens, int first_logits) {
        const auto n = static_cast<int>(tokens.size());
        tokens_.assign(tokens.begin(), tokens.end());
        for (int i = 0; i < n; ++i) {
            positions_[static_cast<size_t>(i)] = position_ + i;
            flags_[static_cast<size_t>(i)]     = position_ + i >= first_logits;
        }
        const llama_batch batch{n, tokens_.data(), nullptr, positions_.data(), n_seqs_.data(), seqs_.data(), flags_.data()};
        clear_host_log();
        int         rc = 0;
        std::string why;
        try {
            rc = llama_decode(context_.get(), batch);
            llama_synchronize(context_.get());
        } catch (const std::exception & error) {
            rc  = -1;
            why = error.what();
        }
        if (rc == 0) return ok_status();
        if (interrupted()) return Error{"interrupted"};
        if (why.empty() && options_.plan) why = model_->plugin->last_error();
        if (why.empty()) why = host_complaints();
        if (why.empty()) why = rc == 1 ? "no free cells in the cache" : fmt::format("llama_decode returned {}", rc);
        return Error{fmt::format("decoding {} tokens at position {} failed: {}", n, position_, why)};
    }

    Status deliver(size_t n, int first_logits, const LogitsFn & on_logits) {
        const auto n_vocab = static_cast<size_t>(llama_vocab_n_tokens(model_->vocab));
        for (size_t i = 0; i < n; ++i) {
            const int at = position_ + static_cast<int>(i);
            if (at < first_logits || !on_logits) continue;
            const float * row = llama_get_logits_ith(context_.get(), static_cast<int32_t>(i));
            if (row == nullptr) return Error{fmt::format("llama.cpp gave no logits for position {}", at)};
            on_logits(at, {row, n_vocab});
        }
        return ok_status();
    }

    std::shared_ptr<const LoadedModel>             model_;
    SessionOptions                                 options_;
    std::unique_ptr<llama_context, ContextDeleter> context_;
    int                                            position_ = 0, start_ = 0;
    llama_seq_id                                   sequence_ = 0;
    std::vector<Token>                             tokens_;
    std::vector<llama_pos>                         positions_;
    std::vector<int32_t>                           n_seqs_;
    std::vector<llama_seq_id *>                    seqs_;
    std::vector<int8_t>                            flags_;
};

Status check_options(const LoadedModel & model, const SessionOptions & options) {
    if (options.n_ctx < 1 || options.n_ctx > kMaxContext)
        return Error{fmt::format("n_ctx {} is not in 1 .. {}", options.n_ctx, kMaxContext)};
    if (options.n_batch < 1) return Error{fmt::format("n_batch {} must be at least 1", options.n_batch)};
    if (options.n_ubatch < 1) return Error{fmt::format("n_ubatch {} must be at least 1", options.n_ubatch)};
    if (options.tap && !options.plan)
        return Error{"a tap needs a plan session (an all-f16 plan will do): the reference runs outside the plugin"};
    if (!options.plan) return ok_status();
    if (model.plugin == nullptr) return Error{fmt::format("a plan cannot run on model {}: {}", model.path, model.no_plugin)};
    return check_plan_for_model(*options.plan, model.info);
}

}  // namespace

Result<std::unique_ptr<Session>> open_session(std::shared_ptr<const LoadedModel> model, const SessionOptions & given) {
    SessionOptions options = given;
    KVT_CHECK_OK(check_options(*model, options));
    options.n_batch = std::min(options.n_batch, options.n_ctx);

    // set_plan counts for the next cache, so plan and cache must come from the same caller.
    static std::mutex     one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    if (options.plan) {
        KVT_CHECK_OK(model->plugin->set_plan(write_plan(*options.plan), options.plan->calibration.folder));
    }

    const int            n_threads = options.n_threads > 0 ? options.n_threads : model->n_threads;
    llama_context_params params    = llama_context_default_params();
    params.n_ctx                   = static_cast<uint32_t>(options.n_ctx);
    params.n_batch                 = static_cast<uint32_t>(options.n_batch);
    params.n_ubatch                = static_cast<uint32_t>(std::min(options.n_ubatch, options.n_batch));
    params.n_seq_max               = 1;
    params.n_threads               = n_threads;
    params.n_threads_batch         = n_threads;
    params.flash_attn_type         = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.type_k = params.type_v = GGML_TYPE_F16;
    params.offload_kqv            = options.plan.has_value();  // off: the cache lives in CPU buffers and stock kernels run
    params.op_offload             = false;
    params.swa_full               = false;  // as the llama.cpp programs run
    params.no_perf                = true;
    params.abort_callback         = [](void *) { return interrupted(); };

    clear_host_log();
    std::unique_ptr<llama_context, ContextDeleter> context;
    std::string                                    why;
    try {
        const AssertionsThrow guard;
        context.reset(llama_init_from_model(model->model.get(), params));
    } catch (const std::exception & error) {
        why = error.what();
    }
    if (context == nullptr) {
        if (options.plan) why = model->plugin->last_error();
        if (why.empty()) why = host_complaints();
        return Error{fmt::format("cannot make a context of {} cells on {}: {}", options.n_ctx, model->path,
                                 why.empty() ? "no reason given" : why)};
    }
    return std::unique_ptr<Session>(std::make_unique<LlamaSession>(std::move(model), options, std::move(context)));
}

}  // namespace kvt
