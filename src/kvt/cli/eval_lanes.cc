#include "kvt/cli/eval_lanes.h"

#include <ctime>
#include <optional>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/cli/console.h"
#include "kvt/harness/server_answerer.h"
#include "kvt/plan/model_json.h"

namespace kvt::cli {

namespace {

constexpr const char * kStock = "f16 (stock)";

std::string slug(const std::string & text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '_';
        if (plain) {
            out += c;
        } else if (!out.empty() && out.back() != '-') {
            out += '-';
        }
    }
    while (out.ends_with('-')) out.pop_back();
    return out;
}

// What the records of all lanes share.
Json common_header(const Task & task, const TaskPrompts & prompts, const ModelRunner * model, const LaneOptions & o) {
    Json h            = run_header(task, prompts, o.run);
    h["tool_version"] = tool_version();
    h["llama_cpp"]    = build_info::kLlamaVersion;
    if (model != nullptr) {
        h["model"]                = model_name_json(model->info());
        const std::string form    = o.chat_template.empty() ? model->chat_template() : o.chat_template;
        h["chat_template_sha256"] = form.empty() ? Json() : Json(sha256_hex(form));
    }
    h["parallel"]    = o.n_slots;
    h[kStartedField] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    return h;
}

Json plan_header(const std::string & name, const PrecisionPlan & plan, int n_ctx) {
    const CacheSize   size = plan_size(plan, kSizeAtTokens);
    const auto        at   = static_cast<double>(kSizeAtTokens);
    const std::string text = write_plan(plan);
    return {{"name", name},
            {"sha256", sha256_hex(text)},
            {"payload_bits", payload_bits(plan)},
            {"effective_bits", size.effective_bits},
            {"bytes_per_token", static_cast<double>(size.bytes) / at},
            {"bytes_per_slot", plan_size(plan, static_cast<uint64_t>(n_ctx)).bytes},
            {"text", text}};
}

struct Lane {
    std::string                  name;
    std::optional<PrecisionPlan> plan;
};

Result<std::vector<TaskRecord>> run_plans(const Task & task, const TaskPrompts & prompts, ModelRunner & model,
                                          const LaneOptions & o, Progress & progress) {
    KVT_TRY(const int n_ctx, slot_cells(prompts, model, o.run.answers, o.n_ctx));
    std::vector<Lane> lanes;
    if (o.reference == Reference::run) lanes.push_back({kStock, std::nullopt});
    for (const NamedPlan & p : o.plans) lanes.push_back({p.name, p.plan});
    std::vector<TaskRecord> records;
    for (const Lane & lane : lanes) {
        const bool       weigh = o.run.answers.mode == AnswerMode::likelihood;
        GeneratorOptions go;
        go.plan                   = lane.plan;
        go.n_slots                = weigh ? 2 : o.n_slots;
        go.n_ctx                  = n_ctx;
        go.n_batch                = o.n_batch;
        go.n_ubatch               = o.n_ubatch;
        go.n_threads              = o.n_threads;
        go.shared                 = prompts.shared;
        Json header               = common_header(task, prompts, &model, o);
        header["plan"]            = plan_header(lane.name, lane.plan ? *lane.plan : f16_plan(model.info()), n_ctx);
        header["plan"]["stock"]   = !lane.plan.has_value();
        header["n_ctx"]           = n_ctx;
        header["n_batch"]         = o.n_batch;
        header["n_ubatch"]        = o.n_ubatch;
        header["n_threads"]       = o.n_threads;
        header["flash_attention"] = true;
        const std::string sha     = lane.plan && file_exists(lane.name) ? header["plan"]["sha256"].get<std::string>() : "";
        const std::string path    = o.out + "/" + record_name(task.header(), lane.name, sha);
        auto              record  = run_task(
                          task, prompts, o.run, header, path, [&] { return engine_answerer(model, go); }, progress);
        if (!record.ok()) return error_in(lane.name, record.error());
        records.push_back(std::move(*record));
    }
    return records;
}

Result<std::vector<TaskRecord>> run_server(const Task & task, const TaskPrompts & prompts, const ModelRunner * model,
                                           const LaneOptions & o, Progress & progress) {
    for (size_t i = 0; i < prompts.items.size(); ++i) {
        if (prompts.prompts[i].text.empty() && !prompts.items[i].answer_prefix.empty()) {
            return Error{fmt::format(
                "{} puts words of its own at the start of the answer, which chat completions cannot: give -m MODEL, so "
                "that prompts are rendered here",
                task.header().name)};
        }
    }
    ServerAnswererOptions so;
    so.server     = {o.server, o.server_timeout, 30};
    so.n_parallel = o.n_slots;
    if (model != nullptr && model->adds_bos()) {
        const Token bos = model->bos();
        so.bos          = model->detokenize({&bos, 1});
    }
    KVT_TRY(const auto client, ServerClient::create(so.server));
    KVT_TRY(so.model, server_model(*client));
    Json header            = common_header(task, prompts, model, o);
    header["server"]       = {{"url", o.server}, {"model", so.model}, {"rendered_here", model != nullptr}};
    const std::string path = o.out + "/" + record_name(task.header(), "server " + file_name(so.model), "");
    KVT_TRY(TaskRecord record, run_task(
                                   task, prompts, o.run, header, path, [&] { return server_answerer(so); }, progress));
    return std::vector<TaskRecord>{std::move(record)};
}

}  // namespace

std::string record_name(const TaskHeader & task, const std::string & lane, const std::string & plan_sha256) {
    std::string name = slug(task.name);
    for (const std::string & part : {slug(task.variant), slug(lane), plan_sha256.substr(0, 8)}) {
        if (!part.empty()) name += "-" + part;
    }
    return name + ".jsonl";
}

Result<std::vector<TaskRecord>> run_lanes(const Task & task, const TaskPrompts & prompts, ModelRunner * model,
                                          const LaneOptions & options, Progress & progress) {
    KVT_CHECK_OK(check_run(task, prompts, options.run));
    KVT_CHECK_OK(make_folder(options.out));
    if (!options.server.empty()) return run_server(task, prompts, model, options, progress);
    if (model == nullptr) return Error{"give -m MODEL, or --server URL"};
    return run_plans(task, prompts, *model, options, progress);
}

}  // namespace kvt::cli
