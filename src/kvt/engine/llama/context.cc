#include "kvt/engine/llama/context.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include <fmt/format.h>

#include "kvt/base/progress.h"
#include "kvt/engine/llama/host_log.h"

namespace kvt {

// --- Implementation ---

void ContextDeleter::operator()(llama_context * context) const { llama_free(context); }

namespace {

constexpr int kMaxContext = 1 << 24;

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

Result<LlamaContext> make_context(const LoadedModel & model, const SessionOptions & options, uint32_t n_sequences) {
    KVT_CHECK_OK(check_options(model, options));

    // set_plan counts for the next cache, so plan and cache must come from the same caller.
    static std::mutex     one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    if (options.plan) {
        KVT_CHECK_OK(model.plugin->set_plan(write_plan(*options.plan), options.plan->calibration.folder));
    }

    const int            n_threads = options.n_threads > 0 ? options.n_threads : model.n_threads;
    llama_context_params params    = llama_context_default_params();
    params.n_ctx                   = static_cast<uint32_t>(options.n_ctx) * n_sequences;
    params.n_batch                 = static_cast<uint32_t>(options.n_batch);
    params.n_ubatch                = static_cast<uint32_t>(std::min(options.n_ubatch, options.n_batch));
    params.n_seq_max               = n_sequences;
    params.kv_unified              = false;
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
    LlamaContext context;
    std::string  why;
    try {
        const AssertionsThrow guard;
        context.reset(llama_init_from_model(model.model.get(), params));
    } catch (const std::exception & error) {
        why = error.what();
    }
    if (context == nullptr) {
        if (options.plan) why = model.plugin->last_error();
        if (why.empty()) why = host_complaints();
        return Error{fmt::format("cannot make a context of {} cells on {}: {}", options.n_ctx, model.path,
                                 why.empty() ? "no reason given" : why)};
    }
    return context;
}

Status check_token(const LoadedModel & model, Token token) {
    const int n_vocab = llama_vocab_n_tokens(model.vocab);
    if (token >= 0 && token < n_vocab) return ok_status();
    return Error{fmt::format("token {} is not in the vocabulary of {}", token, n_vocab)};
}

Result<std::span<const float>> logits_of(const LoadedModel & model, llama_context * context, size_t i) {
    const float * row = llama_get_logits_ith(context, static_cast<int32_t>(i));
    if (row == nullptr) return Error{fmt::format("llama.cpp gave no logits for token {} of the batch", i)};
    return std::span<const float>(row, static_cast<size_t>(llama_vocab_n_tokens(model.vocab)));
}

std::string decode_batch(const LoadedModel & model, llama_context * context, const llama_batch & batch, bool with_plan) {
    clear_host_log();
    int         rc = 0;
    std::string why;
    try {
        rc = llama_decode(context, batch);
        llama_synchronize(context);
    } catch (const std::exception & error) {
        rc  = -1;
        why = error.what();
    }
    if (rc == 0) return {};
    if (interrupted()) return kInterrupted;
    if (why.empty() && with_plan) why = model.plugin->last_error();
    if (why.empty()) why = host_complaints();
    if (why.empty()) why = rc == 1 ? "no free cells in the cache" : fmt::format("llama_decode returned {}", rc);
    return why;
}

}  // namespace kvt
