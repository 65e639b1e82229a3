#include "kvt/engine/llama/open_model.h"

#include <array>
#include <exception>

#include <fmt/format.h>
#include <ggml-backend.h>
#include <llama.h>

#include "kvt/base/progress.h"
#include "kvt/engine/llama/cores.h"
#include "kvt/engine/llama/host_log.h"
#include "kvt/engine/llama/llama_runner.h"

namespace kvt {

// --- Implementation ---

namespace {

Error load_error(const std::string & path, std::string_view why) {
    const std::string said = host_complaints();
    if (interrupted()) return Error{"interrupted while loading the model"};
    return Error{fmt::format("llama.cpp cannot load {}: {}", path,
                             !said.empty()  ? said
                             : !why.empty() ? why
                                            : "no reason given")};
}

// With the plugin's device the cache of every layer belongs to it (unless a session keeps it on the CPU); the weights stay in
// CPU buffers, because the device takes no matrix products.
Status load_weights(LoadedModel & loaded) {
    std::array<ggml_backend_dev_t, 2> devices{loaded.plugin != nullptr ? loaded.plugin->device() : nullptr, nullptr};
    llama_model_params                params = llama_model_default_params();
    params.devices                           = devices.data();
    params.n_gpu_layers                      = loaded.plugin != nullptr ? -1 : 0;
    params.progress_callback                 = [](float, void *) { return !interrupted(); };
    clear_host_log();
    std::string why;
    try {
        const AssertionsThrow guard;
        loaded.model.reset(llama_model_load_from_file(loaded.path.c_str(), params));
    } catch (const std::exception & error) {
        why = error.what();
    }
    if (loaded.model == nullptr) return load_error(loaded.path, why);
    return ok_status();
}

Status check_model(const LoadedModel & loaded) {
    const llama_model * model = loaded.model.get();
    const char *        what  = llama_model_is_recurrent(model)   ? "recurrent: it keeps no KV cache"
                                : llama_model_is_hybrid(model)    ? "hybrid: some layers keep no KV cache"
                                : llama_model_is_diffusion(model) ? "a diffusion model: it keeps no KV cache"
                                : llama_model_has_encoder(model)  ? "an encoder-decoder"
                                : !llama_model_has_decoder(model) ? "an encoder: it keeps no KV cache"
                                                                  : nullptr;
    if (what != nullptr)
        return Error{fmt::format("model {}: architecture '{}' is {}; not supported", loaded.path, loaded.info.arch, what)};
    if (llama_model_n_layer(model) != loaded.info.n_layer) {
        return Error{fmt::format("model {}: llama.cpp counts {} layers, the header {}; not supported", loaded.path,
                                 llama_model_n_layer(model), loaded.info.n_layer)};
    }
    if (llama_vocab_n_tokens(llama_model_get_vocab(model)) < 1 ||
        llama_vocab_type(llama_model_get_vocab(model)) == LLAMA_VOCAB_TYPE_NONE) {
        return Error{fmt::format("model {}: it has no vocabulary", loaded.path)};
    }
    return ok_status();
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> open_model(const std::string & path, const EngineOptions & options) {
    start_llama();
    auto loaded  = std::make_shared<LoadedModel>();
    loaded->path = path;
    KVT_TRY(loaded->info, read_model_info(path));
    loaded->n_threads = options.n_threads > 0 ? options.n_threads : usable_cores();
    loaded->no_plugin = "it was opened without the plugin";
    if (options.use_plugin != UsePlugin::never) {
        auto plugin = load_plugin(options.plugin);
        if (plugin.ok()) {
            loaded->plugin = *plugin;
        } else if (options.use_plugin == UsePlugin::required || !options.plugin.empty()) {
            return plugin.error();
        } else {
            loaded->no_plugin = plugin.error().message;
        }
    }
    // Tells the plugin that this host chooses plans itself: else it warns on stderr of reference sessions, whose cache is
    // elsewhere.
    if (loaded->plugin != nullptr) {
        KVT_CHECK_OK(loaded->plugin->set_plan(write_plan(f16_plan(loaded->info)), ""));
    }
    KVT_CHECK_OK(load_weights(*loaded));
    loaded->vocab = llama_model_get_vocab(loaded->model.get());
    KVT_CHECK_OK(check_model(*loaded));
    return make_runner(std::move(loaded));
}

}  // namespace kvt
