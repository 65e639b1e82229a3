// The presets that KVTuner's authors published. They are not part of kvtuner: their repository states no licence, so the user
// points to a copy, either that repository's folder of YAML files or one JSON file of the same numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"
#include "kvt/recipes/import.h"

namespace kvt::recipes {

// --- Interface ---

struct Preset {
    std::string           name;   // "Qwen2.5-7B-Instruct_kivi_KVTuner4_0"
    std::string           model;  // "Qwen2.5-7B-Instruct"
    Mode                  mode = Mode::kivi;
    std::vector<PairBits> pairs;

    double payload_bits() const;
};

// A folder of <model>_<kivi|pertoken>_KVTuner<4|6>_<id>.yaml, other files ignored; or a JSON file
// {"presets": [{"name", "model", "mode", "n_layer", "k": [...], "v": [...], "bits_mean"}]}. Sorted by name.
// Errors: unreadable, no preset in it, any preset that is wrong (name and reason), a stated mean that its bits do not give.
Result<std::vector<Preset>> read_presets(const std::string & path);

// Errors: an unknown name (with the nearest known ones); the model has another number of layers; a mode other than the published.
Result<Imported> import_preset(const std::vector<Preset> & presets, std::string_view name, const ImportOptions & options);

// The preset that was published for a model of this name and number of layers: the most specific name, then mode kivi, then most
// bits; null if there is none. Names are compared by their letters and digits.
const Preset * preset_for(const std::vector<Preset> & presets, const ModelInfo & model);

}  // namespace kvt::recipes
