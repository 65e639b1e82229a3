// What the readers of ModelOpt's maps and of its search reports share. Internal to the component.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt::recipes {

// --- Interface ---

// The layers of a model by module path.
class LayerList {
public:
    explicit LayerList(const ModelInfo & model);

    // Errors: a bad path or one unlike the others, a layer the model does not have or that is listed twice, an unknown name.
    Status                add(std::string_view path, std::string_view algo);
    size_t                unlisted() const;
    std::vector<PairBits> pairs() const;  // 16 bits where nothing is listed

private:
    std::vector<std::optional<PairBits>> pairs_;
    const ModelInfo &                    model_;
    std::string                          around_;
};

// The selected type of each layer. Notes: effective bits or the score where they disagree with the layers' own; layers not
// searched.
Result<std::vector<PairBits>> pairs_of_report(const nlohmann::json & document, const ModelInfo & model,
                                              std::vector<std::string> & notes);

}  // namespace kvt::recipes
