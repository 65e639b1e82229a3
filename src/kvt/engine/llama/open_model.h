// Opens a GGUF model for tuning, or only reads what a plan must know of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

// Plan sessions need the plugin; reference sessions run without it.
enum class UsePlugin : uint8_t { if_found, required, never };

struct EngineOptions {
    std::string plugin;  // path of libggml-kvtuner.so; empty: find_plugin()
    UsePlugin   use_plugin = UsePlugin::if_found;
    int         n_threads  = 0;  // default of sessions; 0: usable_cores()
};

// The header of the file, and its SHA-256. Errors, each one message that names the path: missing, empty, truncated, not GGUF,
// hostile header; a model without a plain KV cache in every layer (recurrent, hybrid, MLA, shared caches, encoder),
// layers of different shapes.
Result<ModelInfo> read_model_info(const std::string & path);

// Loads the weights once. Errors: those of read_model_info, what llama.cpp says, the plugin required and not found.
Result<std::unique_ptr<ModelRunner>> open_model(const std::string & path, const EngineOptions & options);

}  // namespace kvt
