// What records say of their model.
#pragma once

#include <nlohmann/json.hpp>

#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

// Which file it is.
inline nlohmann::ordered_json model_name_json(const ModelInfo & m) {
    return {{"name", m.name}, {"arch", m.arch}, {"file_sha256", m.file_sha256}};
}

// The same and the shape of its cache.
inline nlohmann::ordered_json model_json(const ModelInfo & m) {
    nlohmann::ordered_json j = model_name_json(m);
    j["n_layer"]             = m.n_layer;
    j["n_kv_heads"]          = m.n_kv_heads;
    j["head_dim_k"]          = m.head_dim_k;
    j["head_dim_v"]          = m.head_dim_v;
    return j;
}

}  // namespace kvt
