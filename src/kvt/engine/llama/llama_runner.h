// ModelRunner over libllama. Its sessions keep a shared hold on the weights.
#pragma once

#include <memory>
#include <string>

#include "kvt/engine/llama/plugin.h"
#include "kvt/engine/model_runner.h"

struct llama_model;
struct llama_vocab;

namespace kvt {

// --- Interface ---

struct LlamaModelDeleter {
    void operator()(llama_model * model) const;
};

// What runner and sessions share.
struct LoadedModel {
    std::string                                     path;
    ModelInfo                                       info;
    std::unique_ptr<llama_model, LlamaModelDeleter> model;
    const llama_vocab *                             vocab  = nullptr;
    Plugin *                                        plugin = nullptr;  // null: plan sessions are refused
    std::string                                     no_plugin;         // why, in words
    int                                             n_threads = 1;
};

std::unique_ptr<ModelRunner>         make_runner(std::shared_ptr<const LoadedModel> model);
Result<std::unique_ptr<Session>>     open_session(std::shared_ptr<const LoadedModel> model, const SessionOptions & options);
Result<std::unique_ptr<SlotSession>> open_slot_session(std::shared_ptr<const LoadedModel> model, const SlotOptions & options);

}  // namespace kvt
