#include "kvt/ggml_plugin/plugin_state.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "ggml-impl.h"

namespace kvt::plugin {

namespace {

struct state {
    std::mutex                          lock;
    std::shared_ptr<const plan_sources> chosen;    // by kvt_set_plan
    std::shared_ptr<const plan_sources> from_env;  // cache of KVT_PLAN
    std::string                         last_error;
    kvt_tap_fn                          tap      = nullptr;
    void *                              tap_user = nullptr;
    std::atomic<bool>                   tap_on{false};
};

state & global() {
    static state s;
    return s;
}

// The file that was read last, so that plans which differ in their layers only can take turns.
Result<std::shared_ptr<const Tensors>> cached_calibration(const CalibrationRef & ref) {
    static std::mutex                     lock;
    static std::string                    hash;
    static std::shared_ptr<const Tensors> tensors;
    const std::scoped_lock                guard(lock);
    if (tensors == nullptr || hash != ref.sha256) {
        KVT_TRY(tensors, load_calibration(ref));
        hash = ref.sha256;
    }
    return tensors;
}

Status add_calibration(plan_source & source) {
    if (source.plan && !source.plan->transforms.empty()) {
        KVT_TRY(source.calibration, cached_calibration(source.plan->calibration));
    }
    return ok_status();
}

Result<std::shared_ptr<const plan_source>> load_source(const std::string & text, const char * folder) {
    auto source = std::make_shared<plan_source>();
    if (looks_like_short_form(text)) {
        KVT_TRY(source->short_form, parse_short_form(text));
        if (source->short_form.mode == Mode::rotated)
            return Error{fmt::format("the short form {} needs a calibration: make a plan file of it (kvtuner plan make)", text)};
    } else if (!text.empty() && text.front() == '{') {
        KVT_TRY(source->plan, parse_plan(text));
        if (folder != nullptr) source->plan->calibration.folder = folder;
    } else {
        KVT_TRY(source->plan, read_plan_file(text));
    }
    KVT_CHECK_OK(add_calibration(*source));
    return std::shared_ptr<const plan_source>(std::move(source));
}

Result<std::shared_ptr<const plan_sources>> load_sources(const std::string & text) {
    auto sources = std::make_shared<plan_sources>();
    if (!names_plan_set(text)) {
        KVT_TRY(sources->only, load_source(text, nullptr));
        return std::shared_ptr<const plan_sources>(std::move(sources));
    }
    KVT_TRY(sources->set, read_plan_set(text));
    for (const NamedPlanFile & file : sources->set.plans) sources->parsed.push_back({file.plan, {}});
    if (sources->set.others) sources->parsed.push_back({std::nullopt, *sources->set.others});
    return std::shared_ptr<const plan_sources>(std::move(sources));
}

}  // namespace

Result<std::shared_ptr<const plan_sources>> current_plans() {
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    if (s.chosen) return s.chosen;
    if (s.from_env) return s.from_env;
    const char * env = std::getenv("KVT_PLAN");
    if (env == nullptr || *env == '\0') {
        return Error{"KVT_PLAN is not set: give it a plan file, several, or a short form such as kivi:K4V2"};
    }
    auto loaded = load_sources(env);
    if (!loaded.ok()) return Error{fmt::format("KVT_PLAN={}: {}", env, loaded.error().message)};
    s.from_env = *loaded;
    return s.from_env;
}

std::vector<const plan_source *> possible_sources(const plan_sources & plans, const std::vector<CacheRow> & rows) {
    std::vector<const plan_source *> possible;
    for (const plan_source & source : plans.parsed) {
        if (!source.plan || may_fit(*source.plan, rows)) possible.push_back(&source);
    }
    return possible;
}

Result<std::shared_ptr<const plan_source>> source_of(const plan_sources & plans, const std::vector<CacheRow> & rows) {
    const auto index = find_plan(plans.set, rows);
    if (!index.ok()) return Error{fmt::format("KVT_PLAN={}: {}", plans.set.name, index.error().message)};
    auto source = std::make_shared<plan_source>(plans.parsed[index->value_or(plans.set.plans.size())]);
    KVT_CHECK_OK(add_calibration(*source));
    return std::shared_ptr<const plan_source>(std::move(source));
}

Status set_plan(const char * text, const char * folder) {
    std::shared_ptr<plan_sources> sources;
    if (text != nullptr) {
        sources = std::make_shared<plan_sources>();
        KVT_TRY(sources->only, load_source(text, folder));
    }
    state &                s = global();
    const std::scoped_lock guard(s.lock);
    s.chosen = std::move(sources);
    s.last_error.clear();  // of another plan, or of a context that used none
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
        return tensor_choice{mode_format(form.mode, side, bits, form.head_dim), form.head_dim, {}};
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
        return tensor_choice{side == Side::key ? entry.k : entry.v, head_dim, source.plan->kept};
    }
    return Error{
        fmt::format("the plan has no layer {}: it was made for another model ({}, {} layers)", layer, model.name, model.n_layer)};
}

Result<HeadTransforms> transforms_of(const plan_source & source, Side side, int layer) {
    if (!source.plan) return HeadTransforms{};
    const PrecisionPlan & plan = *source.plan;
    const auto            entry =
        std::find_if(plan.layers.begin(), plan.layers.end(), [&](const LayerPlan & l) { return l.layer == layer; });
    if (entry == plan.layers.end()) return HeadTransforms{};
    const std::string & name = side == Side::key ? entry->k_transform : entry->v_transform;
    if (name.empty()) return HeadTransforms{};

    // Inverting matrices takes a second for a large model, so it is done once per calibration file.
    static std::mutex                            lock;
    static std::string                           hash;
    static std::map<std::string, HeadTransforms> ready;
    const std::scoped_lock                       guard(lock);
    if (std::exchange(hash, plan.calibration.sha256) != plan.calibration.sha256) ready.clear();
    HeadTransforms & found = ready[transform_prefix(layer, side, name)];
    if (found) return found;
    const int head_dim = side == Side::key ? plan.model.head_dim_k : plan.model.head_dim_v;
    KVT_TRY(const auto heads,
            head_transforms(*source.calibration, layer, side, name, plan.transforms.at(name), plan.model.n_kv_heads, head_dim));
    auto packed = std::make_shared<std::vector<PackedTransform>>();
    for (const HeadTransform & head : heads) {
        auto one = pack_transform(head, head_dim);
        if (!one.ok()) return Error{fmt::format("{}: {}", transform_prefix(layer, side, name), one.error().message)};
        packed->push_back(std::move(*one));
    }
    found = std::move(packed);
    return found;
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
