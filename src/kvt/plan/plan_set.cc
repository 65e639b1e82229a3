#include "kvt/plan/plan_set.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/plan/json_reader.h"
#include "kvt/plan/schema.h"

namespace kvt {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kMapSchema = "kvtuner.plan_map";
constexpr char             kSeparator = ';';

bool is_map(const json & document) {
    return document.is_object() && document.contains("schema") && document["schema"] == kMapSchema;
}

Result<json> read_json(const std::string & path) {
    std::error_code error;
    const auto      size = fs::file_size(path, error);
    if (!error && size > schema::kMaxTextBytes) return Error{fmt::format("{}: {} bytes are too many for a map", path, size)};
    KVT_TRY(const std::string text, read_file(path));
    return parse_strict_json(text, schema::kMaxTextBytes, schema::kMaxDepth);
}

// Errors: `file` is not in `folder` once every link is followed.
Status stays_in(const fs::path & folder, const fs::path & file) {
    std::error_code error;
    const fs::path  top    = fs::canonical(folder, error);
    const fs::path  target = fs::weakly_canonical(file, error);
    if (!error && std::mismatch(top.begin(), top.end(), target.begin(), target.end()).first == top.end()) return ok_status();
    return Error{fmt::format("{} is not in the folder {}: only plans that are will be read", file.string(), folder.string())};
}

Status add_plan(const std::string & path, std::string_view fingerprint, PlanSet & set) {
    KVT_TRY(PrecisionPlan plan, read_plan_file(path));
    const std::string & mine = plan.model.file_sha256;
    if (!fingerprint.empty() && mine != fingerprint) {
        return Error{fmt::format("{} stands under the model file {:.12}..., and was made for {:.12}... (\"{}\")", path,
                                 fingerprint, mine.empty() ? "none" : mine, plan.model.name)};
    }
    for (const NamedPlanFile & other : set.plans) {
        if (!mine.empty() && other.plan.model.file_sha256 == mine)
            return Error{fmt::format("{} and {} are for the same model file: name one of them", other.path, path)};
    }
    set.plans.push_back({path, std::move(plan)});
    return ok_status();
}

Status set_others(const std::string & text, PlanSet & set) {
    if (set.others) return Error{fmt::format("{}: there is a short form for other models already", text)};
    KVT_TRY(set.others, parse_short_form(text));
    if (set.others->mode == Mode::rotated)
        return Error{fmt::format("{} needs a calibration, so it cannot stand for any model", text)};
    return ok_status();
}

Result<PlanSet> read_map(const std::string & path, const json & document) {
    PlanSet        set{path, {}, {}, {}};
    Complaint      complaint;
    ObjectReader   top(document, "", complaint);
    const fs::path folder = fs::path(path).parent_path().empty() ? fs::path(".") : fs::path(path).parent_path();
    top.choice("schema", {kMapSchema});
    top.integer("schema_version", 1, 1);
    ObjectReader plans = top.object("plans");
    for (const std::string & fingerprint : plans.names()) {
        const fs::path file = plans.text(fingerprint.c_str());
        if (!complaint.empty()) break;
        if (file.empty() || file.is_absolute() || *file.lexically_normal().begin() == "..") {
            plans.complain(fingerprint.c_str(),
                           fmt::format("\"{}\" must be a path below the map's folder", shown(file.string())));
            break;
        }
        KVT_CHECK_OK(stays_in(folder, folder / file));
        KVT_CHECK_OK(add_plan((folder / file).string(), fingerprint, set));
    }
    if (top.has("others")) {
        const std::string form = top.text("others");
        if (complaint.empty()) KVT_CHECK_OK(set_others(form, set));
    }
    plans.refuse_other_keys();
    top.refuse_other_keys();
    if (!complaint.empty()) return Error{complaint.text()};
    return set;
}

struct Found {
    fs::path           path;
    fs::file_time_type written;
};

void plans_below(const fs::path & folder, int depth, std::vector<Found> & found) {
    std::error_code error;
    for (const auto & entry : fs::directory_iterator(folder, error)) {
        if (depth > 0 && entry.is_directory(error)) plans_below(entry.path(), depth - 1, found);
        if (entry.path().extension() == ".json" && entry.is_regular_file(error))
            found.push_back({entry.path(), entry.last_write_time(error)});
    }
}

// A folder of plans, or one with a folder for each model, as the plan library has them.
Result<PlanSet> read_plan_folder(const std::string & folder) {
    PlanSet            set{folder, {}, {}, {}};
    std::vector<Found> found;
    plans_below(folder, 1, found);
    std::sort(found.begin(), found.end(),
              [](const Found & a, const Found & b) { return a.written != b.written ? a.written > b.written : a.path < b.path; });
    std::set<std::string> known;
    for (const Found & file : found) {
        Status inside = stays_in(folder, file.path);
        auto   plan   = inside.ok() ? read_plan_file(file.path.string()) : Result<PrecisionPlan>(inside.error());
        if (!plan.ok()) {
            set.unreadable.push_back(plan.error().message);
        } else if (plan->model.file_sha256.empty() || known.insert(plan->model.file_sha256).second) {
            set.plans.push_back({file.path.string(), std::move(*plan)});
        }
    }
    if (!set.plans.empty()) return set;
    return Error{fmt::format("no plan in this folder or those directly below it{}",
                             set.unreadable.empty() ? "" : "; " + set.unreadable.front())};
}

Result<PlanSet> read_list(const std::string & text) {
    PlanSet set{text, {}, {}, {}};
    for (size_t at = 0; at <= text.size();) {
        const size_t      end  = std::min(text.find(kSeparator, at), text.size());
        const std::string item = text.substr(at, end - at);
        at                     = end + 1;
        if (item.empty()) continue;
        KVT_CHECK_OK(looks_like_short_form(item) ? set_others(item, set) : add_plan(item, "", set));
    }
    if (set.plans.empty()) return Error{"the list names no plan file"};
    return set;
}

std::string text_of(const std::vector<int> & layers) {
    if (layers.empty()) return "no layer";
    return layers.size() == 1 ? fmt::format("layer {}", layers.front())
                              : fmt::format("{} layers, {} .. {}", layers.size(), layers.front(), layers.back());
}

}  // namespace

bool names_plan_set(const std::string & text) {
    std::error_code error;
    if (text.starts_with('{')) return false;
    if (fs::is_directory(text, error)) return true;
    if (!fs::exists(text, error)) return text.find(kSeparator) != std::string::npos;
    const auto document = read_json(text);
    return document.ok() && is_map(*document);
}

Result<PlanSet> read_plan_set(const std::string & text) {
    try {
        std::error_code error;
        if (fs::is_directory(text, error)) return read_plan_folder(text);
        if (!fs::exists(text, error)) return read_list(text);
        KVT_TRY(const json document, read_json(text));
        return read_map(text, document);
    } catch (const std::exception & e) {
        return Error{fmt::format("cannot be read: {}", e.what())};
    }
}

bool may_fit(const PrecisionPlan & plan, const std::vector<CacheRow> & rows) {
    return std::all_of(rows.begin(), rows.end(), [&](const CacheRow & row) {
        const int  head_dim = row.side == Side::key ? plan.model.head_dim_k : plan.model.head_dim_v;
        const bool here     = std::any_of(plan.layers.begin(), plan.layers.end(),
                                          [&](const LayerPlan & layer) { return layer.layer == row.layer; });
        return here && row.n_embd == int64_t{plan.model.n_kv_heads} * head_dim;
    });
}

Result<std::optional<size_t>> find_plan(const PlanSet & set, const std::vector<CacheRow> & rows) {
    std::set<int> unique;
    for (const CacheRow & row : rows) unique.insert(row.layer);
    const std::vector<int> layers(unique.begin(), unique.end());

    std::vector<size_t> whole, part;
    for (size_t i = 0; i < set.plans.size(); ++i) {
        if (!may_fit(set.plans[i].plan, rows)) continue;
        const std::vector<LayerPlan> & all   = set.plans[i].plan.layers;
        const bool                     first = std::equal(layers.begin(), layers.end(), all.begin(),
                                                          [](int layer, const LayerPlan & entry) { return layer == entry.layer; });
        if (!first) {
            part.push_back(i);
        } else if (layers.size() == all.size()) {
            whole.push_back(i);
        }
    }
    const std::vector<size_t> & fit = whole.empty() ? part : whole;
    if (fit.size() == 1) return std::optional<size_t>(fit.front());
    const auto row_of = [&](Side side) {
        const auto row = std::find_if(rows.begin(), rows.end(), [&](const CacheRow & r) { return r.side == side; });
        return row == rows.end() ? int64_t{0} : row->n_embd;
    };
    const std::string cache = fmt::format("a cache of {} with rows of {} (K) and {} (V) elements", text_of(layers),
                                          row_of(Side::key), row_of(Side::value));
    if (fit.size() > 1) {
        return Error{
            fmt::format("{} and {} are for different models which both have {}, and no more than that is known of a model here: "
                        "name the plan "
                        "of the one that you run",
                        set.plans[fit[0]].path, set.plans[fit[1]].path, cache)};
    }
    if (set.others) return std::optional<size_t>();
    return Error{fmt::format("no plan for a model that has {}{}: add the plan of this model, or a short form for all others",
                             cache, set.unreadable.empty() ? "" : " (not read: " + set.unreadable.front() + ")")};
}

}  // namespace kvt
