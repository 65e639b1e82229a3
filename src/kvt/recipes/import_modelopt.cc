// ModelOpt's maps: three containers around the same layer list.
#include <fmt/format.h>

#include "kvt/plan/json_reader.h"
#include "kvt/recipes/import.h"
#include "kvt/recipes/modelopt_import.h"
#include "kvt/recipes/modelopt_map.h"

namespace kvt::recipes {

namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t(16) << 20;
constexpr int    kMaxDepth = 16;

// The object that holds the KV cache keys, and its JSON pointer. Other keys beside them are about weights.
struct Container {
    const json * object = nullptr;
    std::string  pointer;
    bool         is_draft = false;
};

Result<Container> container_of(const json & document) {
    for (const char * key : {"quantization", "quantization_config"}) {
        const auto found = document.find(key);
        if (found == document.end()) continue;
        if (!found->is_object()) return Error{fmt::format("/{}: expected an object, found {}", key, shown_value(*found))};
        const auto algo = found->find("quant_algo");
        return Container{&*found, fmt::format("/{}", key), algo != found->end() && *algo == json(kMixed)};
    }
    return Error{"neither a ModelOpt map (\"quantization\" or \"quantization_config\") nor a search report (\"candidates\")"};
}

Status check_version(const Container & from, bool has_layers) {
    const auto version = from.object->find("kv_cache_schema_version");
    if (version == from.object->end()) {
        if (!has_layers || from.is_draft) return ok_status();
        return Error{fmt::format("{}/kv_cache_schema_version: missing", from.pointer)};
    }
    if (*version == json(1)) return ok_status();
    return Error{
        fmt::format("{}/kv_cache_schema_version: {}, this kvtuner reads version 1", from.pointer, shown_value(*version))};
}

Result<std::vector<PairBits>> pairs_of(const Container & from, const ModelInfo & model, size_t & unlisted) {
    const json & object  = *from.object;
    const auto   layers  = object.find("kv_cache_quantized_layers");
    const auto   summary = object.find("kv_cache_quant_algo");
    KVT_CHECK_OK(check_version(from, layers != object.end()));
    const std::string common = summary != object.end() && summary->is_string() ? summary->get<std::string>() : "";
    const auto        all    = bits_of_modelopt_name(common);
    if (summary != object.end() && !summary->is_null() && !all && common != kMixed)
        return Error{fmt::format("{}/kv_cache_quant_algo: {} is not FP8, NVFP4, FP8_K_NVFP4_V or MIXED_PRECISION", from.pointer,
                                 shown_value(*summary))};
    if (layers == object.end()) {
        if (all) return std::vector<PairBits>(static_cast<size_t>(model.n_layer), *all);
        return Error{fmt::format("{}: says nothing about the KV cache of a layer", from.pointer)};
    }
    const std::string at = from.pointer + "/kv_cache_quantized_layers";
    if (!layers->is_object() || layers->empty())
        return Error{fmt::format("{}: expected layers, found {}", at, shown_value(*layers))};

    LayerList list(model);
    for (const auto & [path, value] : layers->items()) {
        const auto algo = value.is_object() ? value.find("quant_algo") : value.end();
        if (!value.is_object() || algo == value.end() || !algo->is_string())
            return Error{fmt::format("{}/{}: expected {{\"quant_algo\": NAME}}, found {}", at, shown(path), shown_value(value))};
        if (!common.empty() && common != kMixed && *algo != json(common))
            return Error{
                fmt::format("{}/{}: {}, but kv_cache_quant_algo says {} for all", at, shown(path), shown_value(*algo), common)};
        if (Status status = list.add(path, algo->get<std::string>()); !status)
            return Error{fmt::format("{}/{}: {}", at, shown(path), status.error().message)};
    }
    unlisted = list.unlisted();
    if (unlisted > 0 && all)
        return Error{fmt::format("{}: {} of {} layers are not listed, but kv_cache_quant_algo says {} for all", at, unlisted,
                                 model.n_layer, common)};
    return list.pairs();
}

}  // namespace

LayerList::LayerList(const ModelInfo & model) : pairs_(static_cast<size_t>(model.n_layer)), model_(model) {}

Status LayerList::add(std::string_view path, std::string_view algo) {
    const auto place = parse_module_path(path);
    if (!place) return Error{"not the path of an attention module (model.layers.0.self_attn)"};
    if (place->layer >= model_.n_layer) return Error{fmt::format("the model \"{}\" has {} layers", model_.name, model_.n_layer)};
    const std::string around = place->before + "*" + place->after;
    if (around_.empty()) around_ = around;
    if (around_ != around) return Error{fmt::format("the path differs from that of other layers ({})", shown(around_))};
    const auto bits = bits_of_modelopt_name(algo);
    if (!bits) return Error{fmt::format("\"{}\" is not FP8, NVFP4 or FP8_K_NVFP4_V", shown(algo))};
    auto & pair = pairs_[static_cast<size_t>(place->layer)];
    if (pair) return Error{"the layer is listed twice"};
    pair = *bits;
    return ok_status();
}

size_t LayerList::unlisted() const {
    size_t n = 0;
    for (const auto & pair : pairs_) n += !pair.has_value();
    return n;
}

std::vector<PairBits> LayerList::pairs() const {
    std::vector<PairBits> pairs;
    for (const auto & pair : pairs_) pairs.push_back(pair.value_or(PairBits{16, 16}));
    return pairs;
}

Result<Imported> import_modelopt(std::string_view text, const ImportOptions & options) {
    if (text.starts_with("\x80") || text.starts_with("PK"))
        return Error{"this is a pickle or a zip archive, which is never opened: save the recipe as JSON"};
    KVT_TRY(const json document, parse_strict_json(text, kMaxBytes, kMaxDepth));
    if (!document.is_object()) return Error{fmt::format("expected an object, found {}", shown_value(document))};
    const bool               is_report = document.contains("candidates");
    std::vector<PairBits>    pairs;
    std::vector<std::string> notes;
    if (is_report) {
        KVT_TRY(pairs, pairs_of_report(document, options.model, notes));
    } else {
        KVT_TRY(const Container from, container_of(document));
        size_t unlisted = 0;
        KVT_TRY(pairs, pairs_of(from, options.model, unlisted));
        if (unlisted > 0) notes.push_back(fmt::format("{} layers are not listed and stay at 16 bits", unlisted));
    }
    if (!options.map_foreign)
        return Error{"FP8 and NVFP4 are formats that a plan cannot hold; --map-foreign makes them 8 and 4 bit integers"};
    if (!options.mode) return Error{"the file says nothing about the mode of integer formats: give --mode kivi or per-token"};
    KVT_TRY(Imported out,
            plan_from_pairs(options, *options.mode, pairs, is_report ? "import:modelopt-report" : "import:modelopt"));
    notes.push_back("FP8 became 8 and NVFP4 4 bit integers: same bits, other numbers; quality is not what it was there");
    out.notes = std::move(notes);
    return out;
}

}  // namespace kvt::recipes
