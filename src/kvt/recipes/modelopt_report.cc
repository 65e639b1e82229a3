// ModelOpt's search report: what its solver selected for each layer, with scores of one layer at a time.
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "kvt/plan/json_reader.h"
#include "kvt/recipes/modelopt_import.h"

namespace kvt::recipes {

namespace {

using nlohmann::json;

struct Bits {
    double k = 0, v = 0;
};

std::optional<double> number_at(const json & object, const char * key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
}

Result<std::map<std::string, Bits>> candidates_of(const json & document) {
    std::map<std::string, Bits> bits;
    const json &                list = document["candidates"];
    if (!list.is_array()) return Error{fmt::format("/candidates: expected a list, found {}", shown_value(list))};
    for (size_t i = 0; i < list.size(); ++i) {
        const auto k = number_at(list[i], "k_bits"), v = number_at(list[i], "v_bits");
        const auto name = list[i].is_object() ? list[i].find("name") : list[i].end();
        if (!k || !v || name == list[i].end() || !name->is_string())
            return Error{fmt::format("/candidates/{}: expected name, k_bits and v_bits", i)};
        bits[name->get<std::string>()] = {*k, *v};
    }
    return bits;
}

// Sums of the file are floats of unknown rounding.
bool differ(double a, double b) { return std::abs(a - b) > 1e-6 * std::max(1.0, std::abs(b)); }

}  // namespace

Result<std::vector<PairBits>> pairs_of_report(const json & document, const ModelInfo & model, std::vector<std::string> & notes) {
    const auto version = document.find("schema_version");
    if (version == document.end() || *version != json(1))
        return Error{fmt::format("/schema_version: {}, this kvtuner reads version 1",
                                 version == document.end() ? "missing" : shown_value(*version))};
    KVT_TRY(const auto bits, candidates_of(document));
    const auto layers = document.find("layers");
    if (layers == document.end() || !layers->is_object() || layers->empty())
        return Error{"/layers: expected layers by module path"};

    LayerList list(model);
    double    weighted = 0, widths = 0, score = 0;
    bool      all_scored = true;
    for (const auto & [path, layer] : layers->items()) {
        const std::string at       = fmt::format("/layers/{}", shown(path));
        const auto        selected = layer.is_object() ? layer.find("selected") : layer.end();
        if (!layer.is_object() || selected == layer.end() || !selected->is_string())
            return Error{fmt::format("{}/selected: expected a name", at)};
        const std::string name = selected->get<std::string>();
        if (Status status = list.add(path, name); !status) return Error{fmt::format("{}: {}", at, status.error().message)};
        const auto candidate = bits.find(name);
        if (candidate == bits.end())
            return Error{fmt::format("{}/selected: \"{}\" is not among the candidates", at, shown(name))};
        const auto k_width = number_at(layer, "k_width"), v_width = number_at(layer, "v_width");
        if (!k_width || !v_width || !(*k_width > 0) || !(*v_width > 0))
            return Error{fmt::format("{}: expected k_width and v_width above 0", at)};
        weighted += candidate->second.k * *k_width + candidate->second.v * *v_width;
        widths += *k_width + *v_width;
        const auto own = layer.contains("scores") ? number_at(layer["scores"], name.c_str()) : std::nullopt;
        all_scored     = all_scored && own;
        score += own.value_or(0);
    }
    notes.push_back(fmt::format("effective bits of the report, recomputed: {:.6g}", weighted / widths));
    const json best = document.value("best", json::object());
    if (const auto stated = number_at(best, "score"); stated && all_scored && differ(*stated, score))
        notes.push_back(fmt::format("the report states a score of {:.6g}, its layers add up to {:.6g}", *stated, score));
    const json limits = best.is_object() ? best.value("constraints", json::object()) : json::object();
    if (const auto limit = number_at(limits, "effective_bits"); limit && weighted / widths > *limit + 1e-6)
        notes.push_back(
            fmt::format("the report states a limit of {:.6g} bits, its layers take {:.6g}", *limit, weighted / widths));
    notes.push_back("its scores are of one layer at a time, added up; they are not taken over");
    if (list.unlisted() > 0)
        notes.push_back(fmt::format("{} layers were not searched there and stay at 16 bits", list.unlisted()));
    return list.pairs();
}

}  // namespace kvt::recipes
