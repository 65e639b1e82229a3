#include "kvt/ggml_plugin/plugin_state.h"

#include <atomic>
#include <cstdlib>
#include <mutex>

#include <fmt/format.h>
#include <unistd.h>

#include "ggml-impl.h"

namespace kvt::plugin {

namespace {

struct state {
    std::mutex                         lock;
    std::shared_ptr<const plan_source> chosen;    // by kvt_set_plan
    std::shared_ptr<const plan_source> from_env;  // cache of KVT_PLAN
    std::string                        last_error;
    kvt_tap_fn                         tap      = nullptr;
    void *                             tap_user = nullptr;
    std::atomic<bool>                  tap_on{false};
};

state & global() {
    static state s;
    return s;
}

Result<std::shared_ptr<const plan_source>> load_source(const std::string & text) {
    auto source = std::make_shared<plan_source>();
    if (looks_like_short_form(text)) {
        KVT_TRY(source->short_form, parse_short_form(text));
    } else if (!text.empty() && text.front() == '{') {
        KVT_TRY(source->plan, parse_plan(text));
    } else {
        KVT_TRY(source->plan, read_plan_file(text));
    }
    return std::shared_ptr<const plan_source>(std::move(source));
}

}  // namespace

Result<std::shared_ptr<const plan_source>> current_plan() {
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    if (s.chosen) return s.chosen;
    if (s.from_env) return s.from_env;
    const char * env = std::getenv("KVT_PLAN");
    if (env == nullptr || *env == '\0') {
        return Error{"KVT_PLAN is not set: give it a plan file, or a short form such as kivi:K4V2"};
    }
    auto loaded = load_source(env);
    if (!loaded.ok()) return Error{fmt::format("KVT_PLAN={}: {}", env, loaded.error().message)};
    s.from_env = *loaded;
    return s.from_env;
}

Status set_plan(const char * text) {
    std::shared_ptr<const plan_source> source;
    if (text != nullptr) {
        KVT_TRY(source, load_source(text));
    }
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    s.chosen = std::move(source);
    return ok_status();
}

Result<tensor_choice> choose(const plan_source & source, Side side, int layer, int64_t n_embd) {
    const char * side_name = side == Side::key ? "keys" : "values";
    if (!source.plan) {
        const ShortForm & form           = source.short_form;
        const int         bits           = side == Side::key ? form.pair.k : form.pair.v;
        const bool        needs_head_dim = form.mode == Mode::per_token_asym && bits != 16;
        if (needs_head_dim && form.head_dim == 0) {
            return Error{
                fmt::format("the short form per-token:{} lacks the head dimension, which this device learns too late: "
                            "add it (per-token:{}:hd64), or use a plan file",
                            pair_name(form.pair.k, form.pair.v), pair_name(form.pair.k, form.pair.v))};
        }
        if (form.head_dim != 0 && n_embd % form.head_dim != 0) {
            return Error{fmt::format("head_dim {} of the short form does not divide the {} elements of a row of {} in layer {}",
                                     form.head_dim, n_embd, side_name, layer)};
        }
        return tensor_choice{mode_format(form.mode, side, bits, form.head_dim), form.head_dim};
    }
    const ModelInfo & model    = source.plan->model;
    const int         head_dim = side == Side::key ? model.head_dim_k : model.head_dim_v;
    for (const LayerPlan & entry : source.plan->layers) {
        if (entry.layer != layer) continue;
        if (int64_t{model.n_kv_heads} * head_dim != n_embd) {
            return Error{
                fmt::format("the plan is for {} KV heads of {} elements, but a row of {} in layer {} has {}: it was made for "
                            "another model ({})",
                            model.n_kv_heads, head_dim, side_name, layer, n_embd, model.name)};
        }
        return tensor_choice{side == Side::key ? entry.k : entry.v, head_dim};
    }
    return Error{
        fmt::format("the plan has no layer {}: it was made for another model ({}, {} layers)", layer, model.name, model.n_layer)};
}

Result<const KernelTable *> current_kernels() {
    KVT_TRY(const Isa isa, choose_isa(std::getenv("KVT_FORCE_ISA")));
    return kernel_table(isa);
}

namespace {

enum class repeat { log, skip };

void log_failure(std::string_view message, repeat when_equal) noexcept {
    try {
        state &                s = global();
        const std::scoped_lock guard(s.lock);
        if (when_equal == repeat::skip && s.last_error == message) return;
        s.last_error = message;
        // A host that set the plan by kvt_set_plan reads kvt_last_error. Others get the words on stderr: the log callback of
        // llama.cpp's programs is asynchronous and lost the last lines before exit in 6 of 9 refusals, llama-bench's drops all.
        if (s.chosen) {
            GGML_LOG_ERROR("KVT: %s\n", s.last_error.c_str());
        } else {
            const std::string line = "KVT: " + s.last_error + "\n";
            if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // nobody listens
        }
    } catch (...) {
        // Out of memory while reporting: the status of the call still tells the host.
    }
}

}  // namespace

void fail(std::string_view message) noexcept { log_failure(message, repeat::log); }
void fail_once(std::string_view message) noexcept { log_failure(message, repeat::skip); }

const char * last_error() noexcept { return global().last_error.c_str(); }

void set_tap(kvt_tap_fn fn, void * user) {
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    s.tap      = fn;
    s.tap_user = user;
    s.tap_on   = fn != nullptr;
}

void run_tap(const kvt_tap & tap) {
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    if (s.tap != nullptr) s.tap(&tap, s.tap_user);
}

bool tap_active() noexcept { return global().tap_on.load(std::memory_order_relaxed); }

}  // namespace kvt::plugin
