// Whether a plan belongs to a model.
#include "kvt/plan/plan.h"

#include <fmt/format.h>

namespace kvt {

namespace {

struct Shape {
    const char * name;
    int ModelInfo::*field;
};

constexpr Shape kShape[] = {{"n_layer", &ModelInfo::n_layer},
                            {"n_kv_heads", &ModelInfo::n_kv_heads},
                            {"head_dim_k", &ModelInfo::head_dim_k},
                            {"head_dim_v", &ModelInfo::head_dim_v}};

}  // namespace

Status check_plan_for_model(const PrecisionPlan & plan, const ModelInfo & model) {
    const ModelInfo & mine = plan.model;
    for (const Shape & shape : kShape) {
        if (mine.*shape.field == model.*shape.field) continue;
        return Error{fmt::format("the plan is for another model: {} is {} in the plan (\"{}\"), {} in the model (\"{}\")",
                                 shape.name, mine.*shape.field, mine.name, model.*shape.field, model.name)};
    }
    if (mine.arch != model.arch) {
        return Error{
            fmt::format("the plan is for another model: arch is \"{}\" in the plan (\"{}\"), \"{}\" in the model (\"{}\")",
                        mine.arch, mine.name, model.arch, model.name)};
    }
    // A side without a hash makes no claim: plans made from a short form, or a model whose file was not hashed.
    if (!mine.file_sha256.empty() && !model.file_sha256.empty() && mine.file_sha256 != model.file_sha256) {
        return Error{fmt::format(
            "the plan was made for another model file: sha256 {}... in the plan (\"{}\"), {}... in the model (\"{}\"); "
            "shapes agree, so --force uses the plan anyway (its measured figures then mean nothing)",
            mine.file_sha256.substr(0, 12), mine.name, model.file_sha256.substr(0, 12), model.name)};
    }
    return ok_status();
}

}  // namespace kvt
