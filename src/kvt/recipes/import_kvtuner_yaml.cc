#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "kvt/plan/json_reader.h"
#include "kvt/recipes/import.h"
#include "kvt/recipes/yaml_tree.h"

namespace kvt::recipes {

namespace {

std::optional<int> whole_number(std::string_view text) {
    int value              = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool padded      = text.size() > 1 && text.front() == '0';
    if (code != std::errc{} || end != text.data() + text.size() || value < 0 || padded) return std::nullopt;
    return value;
}

// The values of a map whose keys are 0, 1, 2, ... in any order.
Result<std::vector<const YamlNode *>> numbered(const YamlNode & map, const std::string & what) {
    std::vector<const YamlNode *> nodes(map.keys.size(), nullptr);
    for (size_t i = 0; i < map.keys.size(); ++i) {
        const std::string & key    = map.keys[i];
        const YamlNode &    node   = map.values[i];
        const auto          number = whole_number(key);
        if (!number) return Error{fmt::format("line {}: \"{}\" is not the number of a {}", node.line, shown(key), what)};
        if (static_cast<size_t>(*number) < nodes.size()) nodes[static_cast<size_t>(*number)] = &node;
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
        if (nodes[i] == nullptr)
            return Error{
                fmt::format("{} {} is missing: {} are listed, so they must be 0 to {}", what, i, nodes.size(), nodes.size() - 1)};
    }
    return nodes;
}

Result<PairBits> pair_in(const YamlNode & node, const std::string & where) {
    PairBits pair;
    for (size_t i = 0; i < node.keys.size(); ++i) {
        const std::string & key   = node.keys[i];
        const YamlNode &    value = node.values[i];
        int *               bits  = key == "nbits_key" ? &pair.k : key == "nbits_value" ? &pair.v : nullptr;
        if (bits == nullptr)
            return Error{
                fmt::format("line {}: {}: \"{}\" is unknown (known: nbits_key, nbits_value)", value.line, where, shown(key))};
        const auto number = value.is_map ? std::nullopt : whole_number(value.text);
        if (!number || (*number != 2 && *number != 4 && *number != 8))
            return Error{fmt::format("line {}: {}: {} is \"{}\", not 2, 4 or 8", value.line, where, key, shown(value.text))};
        *bits = *number;
    }
    if (pair.k == 0 || pair.v == 0)
        return Error{fmt::format("line {}: {}: {} is missing", node.line, where, pair.k == 0 ? "nbits_key" : "nbits_value")};
    return pair;
}

using Heads = std::vector<PairBits>;  // one: the shape without heads

bool has_heads(const YamlNode & layer) { return !layer.values.empty() && layer.values.front().is_map; }

Result<std::vector<Heads>> parse(std::string_view text) {
    KVT_TRY(const YamlNode root, parse_yaml_map(text));
    KVT_TRY(const auto layers, numbered(root, "layer"));
    std::vector<Heads> found;
    for (size_t i = 0; i < layers.size(); ++i) {
        const std::string where = fmt::format("layer {}", i);
        if (!layers[i]->is_map) return Error{fmt::format("line {}: {}: a map belongs here", layers[i]->line, where)};
        Heads heads;
        if (has_heads(*layers[i])) {
            KVT_TRY(const auto nodes, numbered(*layers[i], "head"));
            for (size_t head = 0; head < nodes.size(); ++head) {
                const std::string who = fmt::format("{}, head {}", where, head);
                if (!nodes[head]->is_map) return Error{fmt::format("line {}: {}: a map belongs here", nodes[head]->line, who)};
                KVT_TRY(const PairBits pair, pair_in(*nodes[head], who));
                heads.push_back(pair);
            }
        } else {
            KVT_TRY(const PairBits pair, pair_in(*layers[i], where));
            heads.push_back(pair);
        }
        if (has_heads(*layers[i]) != has_heads(*layers[0]))
            return Error{fmt::format("line {}: {}: some layers list heads and some do not", layers[i]->line, where)};
        found.push_back(std::move(heads));
    }
    if (found.empty()) return Error{"no layer is listed"};
    return found;
}

// A plan has one pair per layer.
Result<std::vector<PairBits>> merge_heads(const std::vector<Heads> & layers, const ImportOptions & options,
                                          std::vector<std::string> & notes) {
    std::vector<PairBits> pairs;
    size_t                raised = 0;
    for (size_t i = 0; i < layers.size(); ++i) {
        const Heads & heads = layers[i];
        if (heads.size() > 1 && heads.size() != static_cast<size_t>(options.model.n_kv_heads))
            return Error{fmt::format("layer {} lists {} heads, the model \"{}\" has {} KV heads", i, heads.size(),
                                     options.model.name, options.model.n_kv_heads)};
        PairBits largest;
        for (const PairBits & head : heads) largest = {std::max(largest.k, head.k), std::max(largest.v, head.v)};
        const auto other = std::find_if(heads.begin(), heads.end(), [&](const PairBits & head) { return !(head == largest); });
        if (other != heads.end() && options.approx == Approx::refuse)
            return Error{
                fmt::format("layer {} gives its heads different bits ({} and more); a plan has one pair per layer; "
                            "--approx=raise takes the largest of each layer",
                            i, pair_name(other->k, other->v))};
        raised += other != heads.end();
        pairs.push_back(largest);
    }
    if (raised > 0)
        notes.push_back(
            fmt::format("{} of {} layers gave their heads different bits and got the largest", raised, layers.size()));
    return pairs;
}

}  // namespace

Result<std::vector<PairBits>> parse_kvtuner_yaml(std::string_view text) {
    KVT_TRY(const std::vector<Heads> layers, parse(text));
    std::vector<PairBits> pairs;
    for (const Heads & heads : layers) {
        if (heads.size() != 1) return Error{"lists heads, where one pair per layer belongs"};
        pairs.push_back(heads.front());
    }
    return pairs;
}

Result<Imported> import_kvtuner_yaml(std::string_view text, std::string_view name, const ImportOptions & options) {
    const std::optional<Mode> mode = options.mode ? options.mode : mode_in_name(name);
    KVT_TRY(const std::vector<Heads> layers, parse(text));
    if (!mode)
        return Error{
            "the file says nothing about the mode, and its name has neither _kivi_ nor _pertoken_: give --mode kivi or "
            "per-token"};
    std::vector<std::string> notes;
    KVT_TRY(const auto pairs, merge_heads(layers, options, notes));
    KVT_TRY(Imported out, plan_from_pairs(options, *mode, pairs, "import:kvtuner-yaml"));
    out.notes = std::move(notes);
    return out;
}

}  // namespace kvt::recipes
