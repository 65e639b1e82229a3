#include <fmt/format.h>

#include "kvt/recipes/import.h"

namespace kvt::recipes {

namespace {

constexpr uint64_t kSchemaVersion = 1;

// The short lists are for readers that know no plans; if somebody edited one of them, nobody knows which is meant.
Status check_list(const std::vector<uint64_t> & list, std::string_view key, const PrecisionPlan & plan,
                  int (*value)(const LayerPlan &)) {
    if (list.empty()) return ok_status();
    if (list.size() != plan.layers.size())
        return Error{
            fmt::format("{} has {} entries, the plan in the same file has {} layers", key, list.size(), plan.layers.size())};
    for (size_t i = 0; i < list.size(); ++i) {
        const int planned = value(plan.layers[i]);
        if (list[i] != static_cast<uint64_t>(planned))
            return Error{
                fmt::format("{}[{}] is {}, the plan in the same file says {}: export the plan again", key, i, list[i], planned)};
    }
    return ok_status();
}

}  // namespace

Result<Imported> import_gguf_keys(const GgufKeys & keys, const ImportOptions & options) {
    if (!keys.plan) return Error{"it carries no plan (no key kvtuner.plan; kvtuner export --to gguf makes the keys)"};
    if (keys.schema_version.value_or(0) != kSchemaVersion)
        return Error{fmt::format("kvtuner.plan.schema_version is {}, this kvtuner reads {}",
                                 keys.schema_version ? std::to_string(*keys.schema_version) : "missing", kSchemaVersion)};
    auto plan = parse_plan(*keys.plan);
    if (!plan) return Error{fmt::format("key kvtuner.plan: {}", plan.error().message)};
    KVT_CHECK_OK(check_plan_for_model(*plan, options.model));
    KVT_CHECK_OK(check_list(keys.layers, "kvtuner.plan.layers", *plan, [](const LayerPlan & l) -> int { return l.layer; }));
    KVT_CHECK_OK(check_list(keys.k_bits, "kvtuner.plan.k_bits", *plan, [](const LayerPlan & l) -> int { return l.k.bits; }));
    KVT_CHECK_OK(check_list(keys.v_bits, "kvtuner.plan.v_bits", *plan, [](const LayerPlan & l) -> int { return l.v.bits; }));
    Imported out;
    out.plan                   = std::move(*plan);
    out.plan.model.file_sha256 = options.model.file_sha256;
    out.plan.model.name        = options.model.name;
    return out;
}

}  // namespace kvt::recipes
