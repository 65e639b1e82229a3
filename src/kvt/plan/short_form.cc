// Pair names ("K8V4") and short forms ("kivi:K8V4"): the same precision for every layer, without a plan file.
#include "kvt/plan/plan.h"

#include <charconv>

#include <fmt/format.h>

namespace kvt {

namespace {

constexpr int kMaxHeadDim = 1024;

bool known_bits(int bits) { return is_code_width(bits) || bits == 16; }

// Reads one letter of either case and the bits after it from the front of `text`.
bool take_side(std::string_view & text, char letter, int & bits) {
    if (text.empty() || (text[0] != letter && text[0] != letter + ('a' - 'A'))) return false;
    text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return known_bits(bits);
}

}  // namespace

PrecisionPlan plan_of(const ModelInfo & model, Mode mode, const std::vector<PairBits> & pairs) {
    PrecisionPlan plan;
    plan.model = model;
    plan.mode  = mode;
    for (const PairBits & pair : pairs) {
        const int index = static_cast<int>(plan.layers.size());
        LayerPlan layer{index, index, Attention::full, mode_format(mode, Side::key, pair.k, model.head_dim_k),
                        mode_format(mode, Side::value, pair.v, model.head_dim_v)};
        if (mode == Mode::rotated && pair.k != 16) {
            layer.k_transform                  = key_transform_name(Rotation::dense, pair.k);
            plan.transforms[layer.k_transform] = Rotation::dense;
        }
        if (mode == Mode::rotated && pair.v != 16) {
            layer.v_transform                  = value_transform_name();
            plan.transforms[layer.v_transform] = Rotation::hadamard;
        }
        plan.layers.push_back(layer);
    }
    if (!plan.transforms.empty()) plan.kept.sink_tokens = 1;
    return plan;
}

std::vector<PairBits> pairs_of(const PrecisionPlan & plan) {
    std::vector<PairBits> pairs;
    for (const LayerPlan & layer : plan.layers) pairs.push_back({layer.k.bits, layer.v.bits});
    return pairs;
}

Status check_formats(const LayerPlan & layer, const ModelInfo & model) {
    KVT_CHECK_OK(check_format(layer.k, Side::key, model.head_dim_k));
    return check_format(layer.v, Side::value, model.head_dim_v);
}

PrecisionPlan f16_plan(const ModelInfo & model) { return uniform_plan(model, Mode::custom, 16, 16); }

PrecisionPlan uniform_plan(const ModelInfo & model, Mode mode, int k_bits, int v_bits) {
    PrecisionPlan plan     = plan_of(model, mode, std::vector<PairBits>(static_cast<size_t>(model.n_layer), {k_bits, v_bits}));
    plan.provenance.method = "uniform";
    return plan;
}

std::string key_transform_name(Rotation rotation, int bits) {
    return fmt::format("{}{}", rotation == Rotation::dense ? "dense" : "hadamard", bits);
}

std::string value_transform_name() { return "hadamard"; }

std::string pair_name(int k_bits, int v_bits) {
    return k_bits == v_bits ? fmt::format("KV{}", k_bits) : fmt::format("K{}V{}", k_bits, v_bits);
}

Result<PairBits> parse_pair(std::string_view text) {
    const Error      bad{fmt::format(
             "pair \"{}\" is unknown: K<bits>V<bits> or KV<bits> with bits 2, 3, 4, 5, 6, 8 or 16, for example K8V4", text)};
    PairBits         pair;
    std::string_view rest = text;
    if (take_side(rest, 'K', pair.k)) {
        if (!take_side(rest, 'V', pair.v) || !rest.empty()) return bad;
        return pair;
    }
    rest = text;
    if (rest.empty() || (rest[0] != 'K' && rest[0] != 'k')) return bad;
    rest.remove_prefix(1);
    if (!take_side(rest, 'V', pair.v) || !rest.empty()) return bad;
    pair.k = pair.v;
    return pair;
}

bool looks_like_short_form(std::string_view text) {
    if (text == "f16") return true;
    const std::string_view mode = text.substr(0, text.find(':'));
    return mode == "kivi" || mode == "per-token" || mode == "per-token-asym" || mode == "rotated";
}

Result<ShortForm> parse_short_form(std::string_view text) {
    if (text == "f16") return ShortForm{};
    const auto bad = [&](std::string_view why) {
        return Error{fmt::format("short form \"{}\": {} (examples: f16, kivi:K4V2, per-token:K8V4)", text, why)};
    };
    if (!looks_like_short_form(text)) return bad("the mode must be kivi, per-token or rotated");

    std::string_view rest = text;
    const auto       take = [&] {
        const size_t           colon = rest.find(':');
        const std::string_view part  = rest.substr(0, colon);
        rest                         = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
        return part;
    };
    ShortForm form;
    KVT_TRY(form.mode, parse_mode(take()));
    auto pair = parse_pair(take());
    if (!pair) return bad(pair.error().message);
    form.pair = *pair;
    if (rest.empty() && text.back() != ':') return form;

    const auto [end, error] =
        std::from_chars(rest.data() + (rest.starts_with("hd") ? 2 : 0), rest.data() + rest.size(), form.head_dim);
    if (!rest.starts_with("hd") || error != std::errc{} || end != rest.data() + rest.size() || form.head_dim < 1 ||
        form.head_dim > kMaxHeadDim) {
        return bad("after the pair only :hd<head_dim> may follow, for example :hd64");
    }
    return form;
}

}  // namespace kvt
