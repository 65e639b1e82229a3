// Strict reader of the plan file: nothing unknown is ignored, and every derived figure is computed again.
#include "kvt/plan/plan.h"

#include <climits>
#include <cmath>
#include <exception>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/plan/json_reader.h"
#include "kvt/plan/schema.h"

namespace kvt {

namespace {

using nlohmann::json;
using Formats = std::map<std::string, Format, std::less<>>;

// Bits are recomputed from integers, so only the last digit of a hand-written text may differ.
constexpr double kBitsTolerance = 1e-9;

void check_schema(ObjectReader & top) {
    top.choice("schema", {schema::kName});
    const int64_t version = top.integer("schema_version", 1, INT_MAX);
    if (version > schema::kVersion) {
        top.complain("schema_version",
                     fmt::format("version {} is newer than this kvtuner reads ({}): update kvtuner", version, schema::kVersion));
    }
    top.choice("index_kind", {"model_layer"});
}

Kept read_kept(ObjectReader & top) {
    Kept kept;
    kept.sink_tokens     = static_cast<int>(top.integer("sink_tokens", 0, schema::kMaxSinks));
    kept.residual_tokens = static_cast<int>(top.integer("residual_tokens", 0, schema::kMaxResidual));
    return kept;
}

ModelInfo read_model(ObjectReader object) {
    ModelInfo m;
    m.name        = object.text("name");
    m.arch        = object.text("arch");
    m.file_sha256 = object.sha256("file_sha256", true);
    m.n_layer     = static_cast<int>(object.integer("n_layer", 1, schema::kMaxLayers));
    m.n_kv_heads  = static_cast<int>(object.integer("n_kv_heads", 1, schema::kMaxHeads));
    m.head_dim_k  = static_cast<int>(object.integer("head_dim_k", 1, schema::kMaxHeadDim));
    m.head_dim_v  = static_cast<int>(object.integer("head_dim_v", 1, schema::kMaxHeadDim));
    object.refuse_other_keys();
    return m;
}

Mode read_mode(ObjectReader & top) {
    const auto mode =
        parse_mode(top.choice("mode", {"per-token-asym", "kivi", "rotated", "custom"}));  // not its second spellings
    return mode ? *mode : Mode::custom;
}

Format read_format(ObjectReader object, const std::string & name) {
    Format f;
    if (object.choice("codec", {"f16", "int_asym"}) == "f16") {
        object.integer("bits", 16, 16);
    } else {
        f.codec = Codec::int_asym;
        f.bits  = static_cast<uint8_t>(object.integer("bits", 1, 16));
        f.axis =
            object.choice("axis", {schema::axis_name(Axis::per_token), schema::axis_name(Axis::per_channel)}) == "per-channel"
                ? Axis::per_channel
                : Axis::per_token;
        f.group  = static_cast<uint16_t>(object.integer("group", 1, schema::kMaxHeadDim));
        f.params = object.choice("scale", {schema::params_name(Params::f16), schema::params_name(Params::byte)}) == "byte"
                       ? Params::byte
                       : Params::f16;
        f.store  = object.choice("store", {schema::store_name(Store::on_write), schema::store_name(Store::sealed_block)}) ==
                          "sealed-block"
                       ? Store::sealed_block
                       : Store::on_write;
    }
    object.refuse_other_keys();
    if (format_name(f) != name) {
        object.complaint().add(object.pointer(), fmt::format("this definition is called \"{}\"", format_name(f)));
    }
    return f;
}

Formats read_formats(ObjectReader object) {
    Formats formats;
    for (const std::string & name : object.names()) formats[name] = read_format(object.object(name.c_str()), name);
    object.refuse_other_keys();
    return formats;
}

std::map<std::string, Rotation> read_transforms(ObjectReader object) {
    std::map<std::string, Rotation> transforms;
    for (const std::string & name : object.names()) {
        ObjectReader entry = object.object(name.c_str());
        const auto   text  = entry.choice("rotation", {"none", "hadamard", "dense"});
        transforms[name]   = text == "dense" ? Rotation::dense : text == "hadamard" ? Rotation::hadamard : Rotation::none;
        entry.refuse_other_keys();
    }
    object.refuse_other_keys();
    return transforms;
}

CalibrationRef read_calibration(ObjectReader & top, bool needed) {
    CalibrationRef ref;
    if (top.raw("calibration").is_null() && !needed) return ref;
    if (top.raw("calibration").is_null()) {
        top.complain("calibration", "is null, but transforms need one (kvtuner calibrate)");
        return ref;
    }
    ObjectReader object = top.object("calibration");
    ref.file            = object.text("file");
    ref.sha256          = object.sha256("sha256", false);
    ref.positions       = static_cast<int>(object.integer("positions", 1, schema::kMaxPositions));
    object.refuse_other_keys();
    if (ref.file.empty()) object.complain("file", "the name is empty");
    if (!needed) top.complain("calibration", "no transform is defined, so there is nothing to calibrate");
    return ref;
}

// The name of the transform of one side of one layer; empty if it has none.
std::string read_transform(ObjectReader & layer, const char * key, const Format & format, const PrecisionPlan & plan,
                           std::set<std::string> & used) {
    if (!layer.has(key)) return {};
    const std::string name = layer.text(key);
    if (!plan.transforms.contains(name)) layer.complain(key, fmt::format("transform \"{}\" is not defined", shown(name)));
    if (format.codec == Codec::f16) layer.complain(key, "an f16 side takes no transform");
    used.insert(name);
    return name;
}

// The format of one side of one layer, checked against the model and the mode, and its stated bytes.
Format read_side(ObjectReader & layer, Side side, const Formats & formats, std::set<std::string> & used,
                 const PrecisionPlan & plan) {
    const char *      key      = side == Side::key ? "k" : "v";
    const char *      bytes    = side == Side::key ? "k_bytes" : "v_bytes";
    const int         head_dim = side == Side::key ? plan.model.head_dim_k : plan.model.head_dim_v;
    const std::string name     = layer.text(key);
    const auto        found    = formats.find(name);
    if (found == formats.end()) {
        std::string names;
        for (const auto & item : formats) names += (names.empty() ? "" : ", ") + item.first;
        layer.complain(key, fmt::format("format \"{}\" is not defined (formats: {})", shown(name), names));
        return f16_format();
    }
    used.insert(name);
    const Format & f = found->second;
    if (const Status status = check_format(f, side, head_dim); !status) {
        layer.complain(key, fmt::format("format \"{}\" cannot be used here: {}", name, status.error().message));
        return f16_format();  // sizes of a refused format mean nothing, and its group may be 0
    }
    if (plan.mode != Mode::custom && f != mode_format(plan.mode, side, f.bits, head_dim)) {
        layer.complain(
            key, fmt::format("format \"{}\" does not belong to mode \"{}\", which stores \"{}\" here (or use mode \"custom\")",
                             name, mode_name(plan.mode), format_name(mode_format(plan.mode, side, f.bits, head_dim))));
    }
    const uint64_t stated   = layer.unsigned64(bytes);
    const uint64_t computed = schema::tile_row_bytes(f, side, plan.model);
    if (stated != computed) {
        layer.complain(bytes, fmt::format("{} is stated, {} bytes are what \"{}\" takes for {} tokens, {} KV heads of {}", stated,
                                          computed, name, tile_tokens(f), plan.model.n_kv_heads, head_dim));
    }
    return f;
}

void read_layers(ObjectReader & top, const Formats & formats, PrecisionPlan & plan) {
    const json &          array = top.array("layers");
    std::set<std::string> used, used_transforms;
    if (array.empty()) top.complain("layers", "no layer is listed");
    if (array.size() > static_cast<size_t>(plan.model.n_layer)) {
        top.complain("layers", fmt::format("{} layers are listed, the model has {}", array.size(), plan.model.n_layer));
    }
    for (size_t i = 0; i < array.size() && top.complaint().empty(); ++i) {
        ObjectReader object(array[i], fmt::format("{}/{}", top.pointer_of("layers"), i), top.complaint());
        LayerPlan    layer;
        layer.layer = static_cast<int>(object.integer("layer", 0, plan.model.n_layer - 1));
        layer.kv    = static_cast<int>(object.integer("kv", 0, plan.model.n_layer - 1));
        if (i > 0 && layer.layer == plan.layers.back().layer)
            object.complain("layer", fmt::format("layer {} is listed twice", layer.layer));
        if (i > 0 && layer.layer < plan.layers.back().layer) {
            object.complain(
                "layer", fmt::format("layer {} comes after layer {}: layers must ascend", layer.layer, plan.layers.back().layer));
        }
        if (layer.kv != static_cast<int>(i)) {
            object.complain(
                "kv", fmt::format("expected {}, found {}: KV layers count 0, 1, 2, ... (is a layer missing?)", i, layer.kv));
        }
        layer.attn        = object.choice("attn", {"full", "sliding"}) == "sliding" ? Attention::sliding : Attention::full;
        layer.k           = read_side(object, Side::key, formats, used, plan);
        layer.v           = read_side(object, Side::value, formats, used, plan);
        layer.k_transform = read_transform(object, "k_transform", layer.k, plan, used_transforms);
        layer.v_transform = read_transform(object, "v_transform", layer.v, plan, used_transforms);
        object.refuse_other_keys();
        plan.layers.push_back(layer);
    }
    for (const auto & item : formats) {
        if (!used.contains(item.first))
            top.complaint().add(top.pointer_of("formats") + "/" + item.first, "no layer uses this format");
    }
    for (const auto & item : plan.transforms) {
        if (!used_transforms.contains(item.first))
            top.complaint().add(top.pointer_of("transforms") + "/" + item.first, "no layer uses this transform");
    }
}

void check_memory(ObjectReader object, const PrecisionPlan & plan) {
    const auto whole = [&](const char * key, uint64_t computed) {
        const uint64_t stated = object.unsigned64(key);
        if (stated != computed) object.complain(key, fmt::format("{} is stated, the layers give {}", stated, computed));
    };
    const auto bits = [&](const char * key, double computed) {
        const double stated = object.number(key);
        if (!(std::abs(stated - computed) <= kBitsTolerance)) {
            object.complain(key, fmt::format("{} is stated, the layers give {}", stated, computed));
        }
    };
    const schema::Memory memory = schema::memory_of(plan);
    whole("block_tokens", static_cast<uint64_t>(memory.block_tokens));
    whole("bytes_per_block", memory.bytes_per_block);
    whole("bytes_per_block_f16", memory.bytes_per_block_f16);
    whole("open_bytes", memory.open_bytes);
    whole("at_tokens", static_cast<uint64_t>(memory.at_tokens));
    bits("payload_bits", memory.payload_bits);
    bits("effective_bits", memory.effective_bits);
    object.refuse_other_keys();
}

Measured read_measured(ObjectReader object) {
    Measured m;
    m.metric = object.text("metric");
    m.unit   = object.text("unit");
    m.value  = object.number("value");
    m.floor  = object.number("floor");
    if (object.has("ci95")) {
        const json & interval = object.array("ci95");
        if (interval.size() == 2 && interval[0].is_number() && interval[1].is_number()) {
            m.ci_low  = interval[0].get<double>();
            m.ci_high = interval[1].get<double>();
        } else {
            object.complain("ci95", "expected two numbers, low and high");
        }
    }
    m.n           = object.integer("n", 0, INT64_MAX);
    m.baseline    = object.text("baseline");
    m.data_sha256 = object.sha256("data_sha256", true);
    m.context     = static_cast<int>(object.integer("context", 0, INT_MAX));
    m.pass        = object.text("pass");
    m.prefill     = object.text("prefill");
    m.joint       = object.boolean("joint");
    object.refuse_other_keys();
    return m;
}

Provenance read_provenance(ObjectReader object) {
    Provenance p;
    object.choice("tool", {"kvtuner"});
    p.tool_version      = object.text("tool_version");
    p.method            = object.text("method");
    p.seed              = object.unsigned64("seed");
    p.objective         = object.text("objective");
    p.evaluations       = static_cast<int>(object.integer("evaluations", 0, INT_MAX));
    const json & inputs = object.array("inputs");
    for (size_t i = 0; i < inputs.size() && object.complaint().empty(); ++i) {
        ObjectReader input(inputs[i], fmt::format("{}/{}", object.pointer_of("inputs"), i), object.complaint());
        p.inputs.push_back({input.text("role"), input.sha256("sha256", false)});
        input.refuse_other_keys();
    }
    object.refuse_other_keys();
    return p;
}

// Without the name of what was read in front of the message.
Result<PrecisionPlan> parse(std::string_view text) {
    KVT_TRY(const json document, parse_strict_json(text, schema::kMaxTextBytes, schema::kMaxDepth));
    Complaint     complaint;
    ObjectReader  top(document, "", complaint);
    PrecisionPlan plan;

    check_schema(top);
    if (complaint.empty()) plan.model = read_model(top.object("model"));
    if (complaint.empty()) plan.mode = read_mode(top);
    if (complaint.empty()) plan.kept = read_kept(top);
    Formats formats;
    if (complaint.empty()) formats = read_formats(top.object("formats"));
    if (complaint.empty()) plan.transforms = read_transforms(top.object("transforms"));
    if (complaint.empty()) plan.calibration = read_calibration(top, !plan.transforms.empty());
    if (complaint.empty()) read_layers(top, formats, plan);
    if (complaint.empty()) check_memory(top.object("memory"), plan);
    if (complaint.empty()) {
        const json & measured = top.array("measured");
        for (size_t i = 0; i < measured.size() && complaint.empty(); ++i) {
            plan.measured.push_back(
                read_measured(ObjectReader(measured[i], fmt::format("{}/{}", top.pointer_of("measured"), i), complaint)));
        }
    }
    if (complaint.empty()) plan.provenance = read_provenance(top.object("provenance"));
    if (complaint.empty()) top.refuse_other_keys();
    if (!complaint.empty()) return Error{complaint.text()};
    return plan;
}

Result<PrecisionPlan> parse_named(std::string_view text, const std::string & subject) {
    try {
        auto plan = parse(text);
        if (!plan) return Error{fmt::format("{}: {}", subject, plan.error().message)};
        return plan;
    } catch (const std::exception & e) {
        return Error{fmt::format("{}: cannot be read: {}", subject, e.what())};
    }
}

}  // namespace

Result<PrecisionPlan> parse_plan(std::string_view json_text) { return parse_named(json_text, "plan"); }

Result<PrecisionPlan> read_plan_file(const std::string & path) {
    const std::string subject = fmt::format("plan \"{}\"", path);
    std::error_code   error;
    const auto        size = std::filesystem::file_size(path, error);  // an error here is one that read_file explains
    if (!error && size > schema::kMaxTextBytes) {
        return Error{
            fmt::format("{}: {} bytes of text, more than the {} allowed: not a plan", subject, size, schema::kMaxTextBytes)};
    }
    KVT_TRY(const std::string text, read_file(path));
    KVT_TRY(PrecisionPlan plan, parse_named(text, subject));
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (!plan.calibration.file.empty()) plan.calibration.folder = folder.empty() ? "." : folder.string();
    return plan;
}

}  // namespace kvt
