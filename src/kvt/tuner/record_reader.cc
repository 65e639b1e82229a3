#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/plan/json_reader.h"
#include "kvt/tuner/records.h"

namespace kvt {

namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{64} << 20;
constexpr int    kMaxDepth = 8;
constexpr int    kMaxCount = 1 << 20;
constexpr double kNaN      = std::numeric_limits<double>::quiet_NaN();

double figure(ObjectReader & o, const char * key) { return o.raw(key).is_null() ? kNaN : o.number(key); }

int count(ObjectReader & o, const char * key, int high = kMaxCount) { return static_cast<int>(o.integer(key, 0, high)); }

// Returns the schema version.
int64_t read_head(ObjectReader & o, const char * kind, int newest, ModelInfo & m, Mode & mode, std::string & inputs) {
    const std::string schema = std::string("kvtuner.") + kind;
    (void)o.choice("schema", {schema});
    const int64_t version = o.integer("schema_version", 1, newest);
    ObjectReader  model   = o.object("model");
    m.name                = model.text("name");
    m.arch                = model.text("arch");
    m.file_sha256         = model.sha256("file_sha256", true);
    m.n_layer             = static_cast<int>(model.integer("n_layer", 1, 4096));
    m.n_kv_heads          = static_cast<int>(model.integer("n_kv_heads", 1, 4096));
    m.head_dim_k          = static_cast<int>(model.integer("head_dim_k", 1, 1024));
    m.head_dim_v          = static_cast<int>(model.integer("head_dim_v", 1, 1024));
    model.refuse_other_keys();
    const auto parsed = parse_mode(o.text("mode"));
    if (!parsed.ok()) {
        o.complain("mode", parsed.error().message);
    } else {
        mode = *parsed;
    }
    inputs = o.sha256("inputs_sha256", true);
    return version;
}

std::vector<double> numbers(ObjectReader & o, const char * key) {
    std::vector<double> out;
    for (const json & j : o.array(key)) {
        if (!j.is_number()) o.complain(key, "must hold numbers");
        out.push_back(j.is_number() ? j.get<double>() : 0.0);
    }
    return out;
}

std::vector<int> integers(ObjectReader & o, const char * key, int below) {
    std::vector<int> out;
    for (const json & j : o.array(key)) {
        const bool good = j.is_number_integer() && j.get<int64_t>() >= 0 && j.get<int64_t>() < below;
        if (!good) o.complain(key, fmt::format("must hold integers from 0 to {}", below - 1));
        out.push_back(good ? j.get<int>() : 0);
    }
    return out;
}

template <size_t N>
std::array<double, N> fixed(ObjectReader & o, const char * key) {
    std::array<double, N>     out{};
    const std::vector<double> all = numbers(o, key);
    if (all.size() != N) o.complain(key, fmt::format("must hold {} numbers", N));
    for (size_t i = 0; i < N && i < all.size(); ++i) out[i] = all[i];
    return out;
}

template <size_t N>
std::vector<std::array<double, N>> fixed_rows(ObjectReader & o, const char * key) {
    std::vector<std::array<double, N>> out;
    for (const json & row : o.array(key)) {
        std::array<double, N> a{};
        bool                  good = row.is_array() && row.size() == N;
        for (size_t i = 0; good && i < N; ++i) {
            good = row[i].is_number();
            if (good) a[i] = row[i].get<double>();
        }
        if (!good) o.complain(key, fmt::format("must hold rows of {} numbers", N));
        out.push_back(a);
    }
    return out;
}

std::vector<PairBits> pairs_of(ObjectReader & o, const char * key) {
    std::vector<PairBits> out;
    for (const json & j : o.array(key)) {
        const auto pair = parse_pair(j.is_string() ? j.get<std::string>() : "?");
        if (!pair.ok()) o.complain(key, pair.error().message);
        out.push_back(pair.ok() ? *pair : PairBits{16, 16});
    }
    return out;
}

// Pairs as indices into kPairs; the list must ascend and not be empty.
std::vector<int> candidate_pairs(ObjectReader & o, const char * key) {
    std::vector<int> out;
    for (const PairBits & pair : pairs_of(o, key)) {
        int index = -1;
        for (size_t i = 0; i < kPairs.size(); ++i) index = kPairs[i] == pair ? static_cast<int>(i) : index;
        if (index < 0 || (!out.empty() && index <= out.back()))
            o.complain(key, "must hold pairs of 2, 4 and 8 bits, most bits first, each once");
        out.push_back(index < 0 ? 0 : index);
    }
    if (out.empty()) o.complain(key, "must not be empty");
    return out;
}

// Calls fn(ObjectReader &) for each object of an array.
template <class Fn>
void each(ObjectReader & o, const char * key, Fn fn) {
    size_t i = 0;
    for (const json & j : o.array(key)) {
        ObjectReader item(j, o.pointer_of(key) + "/" + std::to_string(i++), o.complaint());
        fn(item);
        item.refuse_other_keys();
    }
}

// Layers must be 0 .. n_layer-1 in order.
void check_layer(ObjectReader & item, int layer, size_t position) {
    if (layer != static_cast<int>(position))
        item.complain("layer", fmt::format("must be {}: layers ascend without gaps", position));
}

std::vector<LayerGroup> read_groups(ObjectReader & o, int n_layer) {
    std::vector<LayerGroup> groups;
    std::vector<bool>       seen(static_cast<size_t>(n_layer < 1 ? 1 : n_layer), false);
    each(o, "groups", [&](ObjectReader & item) {
        LayerGroup g;
        g.layers = integers(item, "layers", n_layer < 1 ? 1 : n_layer);
        g.pairs  = candidate_pairs(item, "pairs");
        g.e_o    = numbers(item, "e_o");
        if (g.layers.empty()) item.complain("layers", "must not be empty");
        if (g.e_o.size() != g.pairs.size()) item.complain("e_o", "must have one number per pair");
        for (const int layer : g.layers) {
            if (seen[static_cast<size_t>(layer)]) item.complain("layers", fmt::format("layer {} is in two groups", layer));
            seen[static_cast<size_t>(layer)] = true;
        }
        groups.push_back(std::move(g));
    });
    for (size_t l = 0; l < seen.size(); ++l) {
        if (!seen[l]) o.complain("groups", fmt::format("layer {} is in no group", l));
    }
    return groups;
}

// Parses, lets `fill` read, and turns the first complaint into an Error.
template <class Record, class Fill>
Result<Record> read_document(const json & document, const char * kind, int newest, Fill fill) {
    Complaint     complaint;
    ObjectReader  o(document, "", complaint);
    Record        record;
    const int64_t version = read_head(o, kind, newest, record.model, record.mode, record.inputs_sha256);
    fill(o, record, version);
    o.refuse_other_keys();
    if (!complaint.empty()) return Error{fmt::format("{}: {}", kind, complaint.text())};
    return record;
}

Result<json> parse_text(std::string_view text, const char * kind) {
    auto document = parse_strict_json(text, kMaxBytes, kMaxDepth);
    if (!document.ok()) return Error{fmt::format("{}: {}", kind, document.error().message)};
    return document;
}

template <class Record, class Fill>
Result<Record> read_record(std::string_view text, const char * kind, int newest, Fill fill) {
    KVT_TRY(const json document, parse_text(text, kind));
    return read_document<Record>(document, kind, newest, fill);
}

Result<Study> study_of(const json & document) {
    return read_document<Study>(document, "study", 3, [](ObjectReader & o, Study & s, int64_t version) {
        s.method = o.choice("method", {kNsga2, kMoead, kKnapsack});
        if (version >= 3) s.objective = o.text("objective");
        if (!o.raw("calibration").is_null()) {
            ObjectReader c          = o.object("calibration");
            s.calibration.file      = c.text("file");
            s.calibration.sha256    = c.sha256("sha256", false);
            s.calibration.positions = static_cast<int>(c.integer("positions", 1, 1 << 30));
            c.refuse_other_keys();
        }
        s.seed        = o.unsigned64("seed");
        s.population  = count(o, "population");
        s.generations = count(o, "generations");
        if (version >= 2) {
            s.seeded      = o.boolean("seeded");
            s.soft_limits = numbers(o, "soft_limits");
        }
        s.chunk_tokens         = count(o, "chunk_tokens");
        s.n_chunks             = count(o, "n_chunks");
        s.at_tokens            = static_cast<int>(o.integer("at_tokens", 1, 1 << 30));
        s.floor                = o.number("floor");
        s.data_sha256          = o.sha256("data_sha256", true);
        s.complete             = o.boolean("complete");
        s.groups.model         = s.model;
        s.groups.mode          = s.mode;
        s.groups.inputs_sha256 = s.inputs_sha256;
        s.groups.eps           = o.number("cluster_eps");
        if (s.method == kKnapsack) {
            if (!o.array("groups").empty()) o.complain("groups", "must be empty for method \"knapsack\"");
        } else {
            s.groups.groups = read_groups(o, s.model.n_layer);
        }
        if (!o.raw("increments").is_null()) {
            ObjectReader i = o.object("increments");
            s.increments =
                Increments{static_cast<int>(i.integer("probe_bits", 2, 8)), numbers(i, "k"), numbers(i, "v"), i.number("noise")};
            i.refuse_other_keys();
        }
        each(o, "evaluations", [&](ObjectReader & item) {
            Evaluation e;
            e.label             = item.text("label");
            e.payload_bits      = item.number("payload_bits");
            e.effective_bits    = item.number("effective_bits");
            e.kld               = item.number("kld");
            e.kld_ci_low        = figure(item, "kld_ci_low");
            e.kld_ci_high       = figure(item, "kld_ci_high");
            e.clipped           = numbers(item, "clipped");
            e.choice            = integers(item, "choice", static_cast<int>(kPairs.size()));
            e.pairs             = pairs_of(item, "pairs");
            const auto & groups = s.groups.groups;
            if (!e.choice.empty() && e.choice.size() != groups.size()) {
                item.complain("choice", fmt::format("must hold {} numbers, one per group", groups.size()));
            }
            for (size_t g = 0; g < e.choice.size() && g < groups.size(); ++g) {
                if (static_cast<size_t>(e.choice[g]) >= groups[g].pairs.size()) {
                    item.complain("choice",
                                  fmt::format("{} for group {}, which has {} pairs", e.choice[g], g, groups[g].pairs.size()));
                }
            }
            if (static_cast<int>(e.pairs.size()) != s.model.n_layer)
                item.complain("pairs", fmt::format("must hold {} pairs, one per layer", s.model.n_layer));
            s.evaluations.push_back(std::move(e));
        });
        s.front = integers(o, "front", static_cast<int>(s.evaluations.size()) + (s.evaluations.empty() ? 1 : 0));
    });
}

}  // namespace

Result<SensitivityTable> parse_sensitivity(std::string_view text) {
    return read_record<SensitivityTable>(text, "sensitivity", 2, [](ObjectReader & o, SensitivityTable & t, int64_t version) {
        t.eps         = o.number("eps");
        t.n_prompts   = count(o, "n_prompts");
        t.n_generated = count(o, "n_generated");
        t.n_tokens    = o.integer("n_tokens", 0, int64_t{1} << 40);
        t.data_sha256 = o.sha256("data_sha256", true);
        each(o, "layers", [&](ObjectReader & item) {
            LayerErrors l;
            l.layer = count(item, "layer");
            check_layer(item, l.layer, t.layers.size());
            l.e_k      = fixed<3>(item, "e_k");
            l.e_v      = fixed<3>(item, "e_v");
            l.e_a      = fixed<3>(item, "e_a");
            l.e_o      = fixed<9>(item, "e_o");
            l.e_k_head = fixed_rows<3>(item, "e_k_head");
            l.e_v_head = fixed_rows<3>(item, "e_v_head");
            l.e_a_head = fixed_rows<3>(item, "e_a_head");
            l.e_o_head = fixed_rows<9>(item, "e_o_head");
            if (version >= 2) {
                for (const auto & p : fixed_rows<3>(item, "patterns")) l.patterns.push_back({p[0], p[1], p[2]});
            }
            t.layers.push_back(std::move(l));
        });
        if (static_cast<int>(t.layers.size()) != t.model.n_layer)
            o.complain("layers", fmt::format("must hold the {} layers of the model", t.model.n_layer));
    });
}

Result<CandidateSets> parse_candidates(std::string_view text) {
    return read_record<CandidateSets>(text, "candidates", 1, [](ObjectReader & o, CandidateSets & c, int64_t) {
        each(o, "layers", [&](ObjectReader & item) {
            LayerCandidates l;
            l.layer = count(item, "layer");
            check_layer(item, l.layer, c.layers.size());
            l.pairs = candidate_pairs(item, "pairs");
            c.layers.push_back(std::move(l));
        });
        if (static_cast<int>(c.layers.size()) != c.model.n_layer)
            o.complain("layers", fmt::format("must hold the {} layers of the model", c.model.n_layer));
    });
}

Result<LayerGroups> parse_groups(std::string_view text) {
    return read_record<LayerGroups>(text, "groups", 1, [](ObjectReader & o, LayerGroups & g, int64_t) {
        g.eps         = o.number("eps");
        g.min_samples = count(o, "min_samples");
        g.groups      = read_groups(o, g.model.n_layer);
    });
}

Result<Study> parse_study(std::string_view text) {
    KVT_TRY(const json document, parse_text(text, "study"));
    return study_of(document);
}

Result<Study> parse_study(std::string_view head, const std::vector<std::string> & evaluations) {
    KVT_TRY(json document, parse_text(head, "study"));
    json all = json::array();
    for (const std::string & evaluation : evaluations) {
        KVT_TRY(json one, parse_text(evaluation, "evaluation"));
        all.push_back(std::move(one));
    }
    if (document.is_object()) document["evaluations"] = std::move(all);
    return study_of(document);
}

Result<HeldOutCheck> parse_held_out(std::string_view text) {
    return read_record<HeldOutCheck>(text, "held_out", 1, [](ObjectReader & o, HeldOutCheck & c, int64_t) {
        c.data_sha256  = o.sha256("data_sha256", true);
        c.chunk_tokens = count(o, "chunk_tokens");
        c.n_chunks     = count(o, "n_chunks");
        c.n_tokens     = o.integer("n_tokens", 0, int64_t{1} << 40);
        c.floor        = o.number("floor");
        each(o, "plans", [&](ObjectReader & item) {
            CheckedPlan p;
            p.label          = item.text("label");
            p.payload_bits   = item.number("payload_bits");
            p.effective_bits = item.number("effective_bits");
            p.kld            = item.number("kld");
            p.kld_ci_low     = figure(item, "kld_ci_low");
            p.kld_ci_high    = figure(item, "kld_ci_high");
            p.p999           = figure(item, "p999");
            p.same_top       = item.number("same_top");
            p.vs_tuned       = item.number("vs_tuned");
            p.vs_tuned_low   = figure(item, "vs_tuned_low");
            p.vs_tuned_high  = figure(item, "vs_tuned_high");
            p.pairs          = pairs_of(item, "pairs");
            c.plans.push_back(std::move(p));
        });
    });
}

}  // namespace kvt
