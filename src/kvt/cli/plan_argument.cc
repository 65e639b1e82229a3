#include "kvt/cli/plan_argument.h"

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/plan/calibration.h"

namespace kvt::cli {

namespace {

Result<PrecisionPlan> from_short_form(const std::string & text, const std::optional<ModelInfo> & model,
                                      const std::optional<std::string> & calibration) {
    KVT_TRY(const ShortForm form, parse_short_form(text));
    if (!model) return Error{fmt::format("\"{}\" is a short form and says nothing about a model: give -m MODEL too", text)};
    for (const int head_dim : {model->head_dim_k, model->head_dim_v}) {
        if (form.head_dim == 0 || form.head_dim == head_dim) continue;
        return Error{
            fmt::format("\"{}\" is for head_dim {}, the model \"{}\" has {}", text, form.head_dim, model->name, head_dim)};
    }
    PrecisionPlan plan = uniform_plan(*model, form.mode, form.pair.k, form.pair.v);
    if (plan.layers.empty()) return Error{fmt::format("the model \"{}\" has no layers", model->name)};
    if (const Status status = check_formats(plan.layers.front(), *model); !status)
        return Error{fmt::format("\"{}\" does not fit the model \"{}\": {}", text, model->name, status.error().message)};
    if (plan.transforms.empty() || !calibration) return plan;
    if (calibration->empty())
        return Error{
            fmt::format("\"{}\" needs a calibration: make one with kvtuner calibrate and give it with --calibration", text)};
    KVT_TRY(plan.calibration, describe_calibration(*calibration, model->file_sha256));
    return plan;
}

}  // namespace

Result<std::optional<ModelInfo>> model_if_given(const std::string & path) {
    if (path.empty()) return std::optional<ModelInfo>{};
    KVT_TRY(ModelInfo info, read_model_info(path));
    return std::optional<ModelInfo>{std::move(info)};
}

Result<PrecisionPlan> load_plan_argument(const std::string & text, const std::optional<ModelInfo> & model, Force force,
                                         const std::optional<std::string> & calibration) {
    if (looks_like_short_form(text)) return from_short_form(text, model, calibration);
    if (!file_exists(text)) {
        return Error{fmt::format(
            "there is no plan file \"{}\", and it is not a short form (f16, kivi:K4V2, per-token:K8V4, rotated:KV4)", text)};
    }
    KVT_TRY(PrecisionPlan plan, read_plan_file(text));
    if (!model) return plan;
    if (force == Force::yes) plan.model.file_sha256 = model->file_sha256;
    const Status status = check_plan_for_model(plan, *model);
    if (!status) return Error{fmt::format("plan \"{}\": {}", text, status.error().message)};
    return plan;
}

Result<std::vector<NamedPlan>> load_plan_arguments(const PlanArguments & arguments, const ModelInfo & model) {
    std::vector<NamedPlan> plans;
    for (const std::string & text : arguments.texts) {
        KVT_TRY(PrecisionPlan plan,
                load_plan_argument(text, model, arguments.force ? Force::yes : Force::no, arguments.calibration));
        plans.push_back({text, std::move(plan)});
    }
    return plans;
}

}  // namespace kvt::cli
