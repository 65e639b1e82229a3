#include <fmt/format.h>

#include "kvt/recipes/import.h"

namespace kvt::recipes {

std::optional<Mode> mode_in_name(std::string_view name) {
    const bool kivi  = name.find("_kivi_") != std::string_view::npos;
    const bool token = name.find("_pertoken_") != std::string_view::npos;
    if (kivi == token) return std::nullopt;
    return kivi ? Mode::kivi : Mode::per_token_asym;
}

Result<Imported> plan_from_pairs(const ImportOptions & options, Mode mode, const std::vector<PairBits> & pairs,
                                 std::string_view method) {
    const ModelInfo & m = options.model;
    if (pairs.size() != static_cast<size_t>(m.n_layer))
        return Error{fmt::format("the recipe has {} layers, the model \"{}\" has {}", pairs.size(), m.name, m.n_layer)};
    Imported out;
    out.plan                   = plan_of(m, mode, pairs);
    out.plan.provenance.method = method;
    for (const LayerPlan & layer : out.plan.layers) {
        if (const Status status = check_formats(layer, m); !status)
            return Error{fmt::format("layer {} in mode {} does not fit the model \"{}\": {}", layer.layer, mode_name(mode),
                                     m.name, status.error().message)};
    }
    return out;
}

}  // namespace kvt::recipes
