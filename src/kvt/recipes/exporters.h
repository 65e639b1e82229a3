// One function a target; each in a file of its own. Internal to the component: callers use export_plan.
#pragma once

#include "kvt/recipes/recipe.h"

namespace kvt::recipes {

// --- Interface ---

Result<Exported> write_kvtuner_yaml(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_kvtuner_yaml_per_head(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_modelopt(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_vllm_layerwise(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_vllm(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_vllm_json(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_tensorrt_llm(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_sglang(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_ik_llama(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_ninfer(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_llama_cpp(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_llama_cpp_stock(const PrecisionPlan &, const ExportOptions &);
Result<Exported> write_gguf_key(const PrecisionPlan &, const ExportOptions &);

}  // namespace kvt::recipes
