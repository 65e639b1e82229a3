// The list of targets.
#include <fmt/format.h>

#include "kvt/recipes/exporters.h"

namespace kvt::recipes {

const std::vector<Target> & targets() {
    static const std::vector<Target> all{
        {"kvtuner-yaml", "YAML of the original KVTuner, a pair per layer", write_kvtuner_yaml},
        {"kvtuner-yaml-per-head", "the same with a pair per KV head", write_kvtuner_yaml_per_head},
        {"modelopt", "NVIDIA ModelOpt map, schema 1: hf_quant_config.json, or the part of config.json", write_modelopt},
        {"vllm", "vLLM flags: one cache type and a list of 16-bit layers", write_vllm},
        {"vllm-json", "the same as JSON engine arguments", write_vllm_json},
        {"vllm-layerwise", "ModelOpt map as vLLM's layer-wise reader takes it", write_vllm_layerwise},
        {"tensorrt-llm", "TensorRT-LLM kv_cache_config.dtype", write_tensorrt_llm},
        {"sglang", "SGLang per-layer cache types", write_sglang},
        {"ik", "ik_llama.cpp flags: first, middle and last layers", write_ik_llama},
        {"ninfer", "ninfer-fusion --kv-layer-storage", write_ninfer},
        {"llama-cpp", "shell lines that run the plan in stock llama.cpp through the plugin", write_llama_cpp},
        {"llama-cpp-stock", "llama.cpp's own cache types, for uniform plans", write_llama_cpp_stock},
        {"gguf", "GGUF metadata keys that hold the plan", write_gguf_key},
    };
    return all;
}

Result<Exported> export_plan(const PrecisionPlan & plan, std::string_view target, const ExportOptions & options) {
    std::string names;
    for (const Target & candidate : targets()) {
        if (candidate.name == target) {
            if (plan.layers.empty()) return Error{fmt::format("{}: the plan has no layers", target)};
            return candidate.write(plan, options);
        }
        names += (names.empty() ? "" : ", ") + std::string(candidate.name);
    }
    return Error{fmt::format("\"{}\" is not an export target (known: {})", target, names)};
}

}  // namespace kvt::recipes
