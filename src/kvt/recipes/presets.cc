#include "kvt/recipes/presets.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/plan/json_reader.h"

namespace kvt::recipes {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t(4) << 20;
constexpr int    kMaxDepth = 8;

Result<std::vector<PairBits>> pairs_in(const json & k, const json & v) {
    std::vector<PairBits> pairs;
    for (size_t i = 0; i < k.size() && i < v.size(); ++i) {
        for (const json * bits : {&k[i], &v[i]}) {
            if (*bits != json(2) && *bits != json(4) && *bits != json(8))
                return Error{fmt::format("layer {}: {} is not 2, 4 or 8", i, shown_value(*bits))};
        }
        pairs.push_back({k[i].get<int>(), v[i].get<int>()});
    }
    return pairs;
}

Result<Preset> preset_in(const json & entry, const std::string & at) {
    Complaint    complaint;
    ObjectReader object(entry, at, complaint);
    Preset       preset;
    preset.name           = object.text("name");
    preset.model          = object.text("model");
    preset.mode           = object.choice("mode", {"kivi", "per-token-asym"}) == "kivi" ? Mode::kivi : Mode::per_token_asym;
    const int64_t n_layer = object.integer("n_layer", 1, 4096);
    const double  stated  = object.number("bits_mean");
    const json &  k       = object.array("k");
    const json &  v       = object.array("v");
    if (!complaint.empty()) return Error{complaint.text()};
    if (k.size() != static_cast<size_t>(n_layer) || v.size() != static_cast<size_t>(n_layer))
        return Error{fmt::format("{}: {} and {} bits for {} layers", at, k.size(), v.size(), n_layer)};
    auto pairs = pairs_in(k, v);
    if (!pairs) return Error{fmt::format("{}: {}", at, pairs.error().message)};
    preset.pairs = *std::move(pairs);
    if (std::abs(preset.payload_bits() - stated) > 0.5e-4 + 1e-9)  // stated to four decimals
        return Error{fmt::format("{}: bits_mean is {}, its layers give {:.4f}", at, stated, preset.payload_bits())};
    return preset;
}

Result<std::vector<Preset>> read_json(const std::string & path) {
    KVT_TRY(const std::string text, read_file(path));
    KVT_TRY(const json document, parse_strict_json(text, kMaxBytes, kMaxDepth));
    const auto list = document.is_object() ? document.find("presets") : document.end();
    if (!document.is_object() || list == document.end() || !list->is_array()) return Error{"no list \"presets\""};
    std::vector<Preset> presets;
    for (size_t i = 0; i < list->size(); ++i) {
        KVT_TRY(Preset preset, preset_in((*list)[i], fmt::format("/presets/{}", i)));
        presets.push_back(std::move(preset));
    }
    return presets;
}

Result<std::vector<Preset>> read_folder(const std::string & path) {
    std::vector<Preset> presets;
    std::error_code     code;
    for (fs::directory_iterator item(path, code), end; item != end && !code; item.increment(code)) {
        const std::string name = item->path().stem().string();
        const auto        mode = mode_in_name(name);
        if (item->path().extension() != ".yaml" || !mode || name.find("_KVTuner") == std::string::npos) continue;
        KVT_TRY(const std::string text, read_file(item->path().string()));
        const auto pairs = parse_kvtuner_yaml(text);
        if (!pairs) return Error{fmt::format("{}: {}", item->path().filename().string(), pairs.error().message)};
        const size_t cut = name.find(*mode == Mode::kivi ? "_kivi_" : "_pertoken_");
        presets.push_back({name, name.substr(0, cut), *mode, *pairs});
    }
    if (code) return Error{code.message()};
    return presets;
}

// Lower case letters and digits only, so that "Qwen2.5 7B Instruct" and "Qwen2.5-7B-Instruct" agree.
std::string bare(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0)
            out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return out;
}

std::string similar(const std::vector<Preset> & presets, std::string_view name) {
    constexpr size_t  kShown = 8;
    const std::string wanted = bare(name);
    std::string       names;
    size_t            n = 0;
    for (const Preset & preset : presets) {
        if (bare(preset.name).find(wanted) == std::string::npos || n++ >= kShown) continue;
        names += (names.empty() ? "" : ", ") + preset.name;
    }
    return names;
}

}  // namespace

double Preset::payload_bits() const {
    int sum = 0;
    for (const PairBits & pair : pairs) sum += pair.k + pair.v;
    return pairs.empty() ? 0 : sum / (2.0 * static_cast<double>(pairs.size()));
}

Result<std::vector<Preset>> read_presets(const std::string & path) {
    std::error_code code;
    auto            presets = fs::is_directory(path, code) ? read_folder(path) : read_json(path);
    if (!presets) return Error{fmt::format("presets \"{}\": {}", path, presets.error().message)};
    if (presets->empty()) return Error{fmt::format("presets \"{}\": there is none in it", path)};
    std::sort(presets->begin(), presets->end(), [](const Preset & a, const Preset & b) { return a.name < b.name; });
    for (size_t i = 1; i < presets->size(); ++i) {
        if ((*presets)[i].name == (*presets)[i - 1].name)
            return Error{fmt::format("presets \"{}\": \"{}\" is in it twice", path, (*presets)[i].name)};
    }
    return presets;
}

const Preset * preset_for(const std::vector<Preset> & presets, const ModelInfo & model) {
    const std::string name = bare(model.name);
    const auto rank = [](const Preset & p) { return std::tuple(bare(p.model).size(), p.mode == Mode::kivi, p.payload_bits()); };
    const Preset * best = nullptr;
    for (const Preset & preset : presets) {
        const bool same =
            preset.pairs.size() == static_cast<size_t>(model.n_layer) && name.find(bare(preset.model)) != std::string::npos;
        if (same && (best == nullptr || rank(preset) > rank(*best))) best = &preset;
    }
    return best;
}

Result<Imported> import_preset(const std::vector<Preset> & presets, std::string_view name, const ImportOptions & options) {
    const auto found = std::find_if(presets.begin(), presets.end(), [&](const Preset & preset) { return preset.name == name; });
    if (found == presets.end()) {
        const std::string near = similar(presets, name);
        return Error{fmt::format("there is no preset \"{}\" ({})", name,
                                 near.empty() ? "kvtuner import --list names all" : "similar: " + near)};
    }
    if (options.mode && *options.mode != found->mode)
        return Error{fmt::format("preset \"{}\" was published for mode {}, not {}", name, mode_name(found->mode),
                                 mode_name(*options.mode))};
    auto out = plan_from_pairs(options, found->mode, found->pairs, "preset:" + found->name);
    if (!out) return Error{fmt::format("preset \"{}\": {}", name, out.error().message)};
    if (bare(options.model.name).find(bare(found->model)) == std::string::npos)
        out->notes.push_back(
            fmt::format("the preset was published for {}, this model calls itself \"{}\"", found->model, options.model.name));
    return out;
}

}  // namespace kvt::recipes
