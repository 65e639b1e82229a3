#include "kvt/report/kld_record.h"

#include <algorithm>

#include <fmt/format.h>

#include "kvt/plan/json_reader.h"

namespace kvt {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxBytes = size_t{64} << 20;
constexpr int    kMaxDepth = 10;
constexpr int    kMaxCount = 1 << 30;

PlanByPosition read_plan(ObjectReader o, Complaint & complaint) {
    PlanByPosition plan;
    plan.name           = o.text("name");
    plan.effective_bits = o.number("effective_bits");
    plan.kld            = o.object("kld").object("mean").number("value");
    size_t i            = 0;
    for (const json & item : o.array("by_position")) {
        ObjectReader bin(item, fmt::format("{}/{}", o.pointer_of("by_position"), i++), complaint);
        plan.bins.push_back({static_cast<int>(bin.integer("first", 0, kMaxCount)),
                             static_cast<int>(bin.integer("last", 0, kMaxCount)), bin.number("kld"), bin.number("same_top_1")});
    }
    return plan;
}

KldOfLength read_length(ObjectReader & o, Complaint & complaint) {
    KldOfLength  length;
    ObjectReader settings = o.object("settings");
    length.n_ctx          = static_cast<int>(settings.integer("n_ctx", 1, kMaxCount));
    length.n_chunks       = static_cast<int>(settings.integer("n_chunks", 1, kMaxCount));
    length.mode           = settings.text("mode");
    size_t i              = 0;
    for (const json & item : o.array("plans"))
        length.plans.push_back(
            read_plan(ObjectReader(item, fmt::format("{}/{}", o.pointer_of("plans"), i++), complaint), complaint));
    i = 0;
    for (const json & item : o.array("floors")) {
        ObjectReader floor(item, fmt::format("{}/{}", o.pointer_of("floors"), i++), complaint);
        if (floor.text("name") != "F0") length.floor = std::max(length.floor, floor.object("mean").number("value"));
    }
    return length;
}

}  // namespace

Result<KldRecordView> parse_kld_view(std::string_view json_text) {
    KVT_TRY(const json document, parse_strict_json(json_text, kMaxBytes, kMaxDepth));
    const bool    many = document.is_array();
    Complaint     complaint;
    KldRecordView view;
    for (size_t i = 0; i < (many ? document.size() : 1); ++i) {
        ObjectReader o(many ? document[i] : document, many ? fmt::format("/{}", i) : "", complaint);
        (void)o.choice("schema", {"kvtuner.eval.kld"});
        (void)o.integer("schema_version", 1, 1);
        ObjectReader      model = o.object("model"), data = o.object("data");
        const std::string sha256 = model.sha256("file_sha256", true), text = data.text("name");
        if (i > 0 && (sha256 != view.file_sha256 || text != view.data_name))
            o.complain("model", "is not that of the first record");
        view.model       = model.text("name");
        view.file_sha256 = sha256;
        view.data_name   = text;
        view.lengths.push_back(read_length(o, complaint));
    }
    if (view.lengths.empty()) complaint.add("", "no record");
    if (!complaint.empty()) return Error{complaint.text()};
    return view;
}

ordered_json kld_view_json(const KldRecordView & view) {
    ordered_json out{{"text", view.data_name}, {"lengths", ordered_json::array()}};
    for (const KldOfLength & l : view.lengths) {
        ordered_json plans = ordered_json::array();
        for (const PlanByPosition & p : l.plans) {
            ordered_json bins = ordered_json::array();
            for (const PositionBin & b : p.bins)
                bins.push_back({{"first", b.first}, {"last", b.last}, {"kld", b.kld}, {"same_top", b.same_top}});
            plans.push_back({{"name", p.name}, {"effective_bits", p.effective_bits}, {"kld", p.kld}, {"bins", bins}});
        }
        out["lengths"].push_back(
            {{"n_ctx", l.n_ctx}, {"n_chunks", l.n_chunks}, {"mode", l.mode}, {"floor", l.floor}, {"plans", plans}});
    }
    return out;
}

}  // namespace kvt
