// kvtuner plan show | check | make.
#include <memory>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/plan_argument.h"
#include "kvt/cli/plan_text.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/plan/schema.h"
#include "kvt/tuner/calibrate/plan_files.h"

namespace kvt::cli {

namespace {

constexpr int kMaxCells = 1 << 28;

struct Options {
    std::string        plan, model, output, calibration;
    ContextShape       shape;
    std::optional<int> key_group, value_group, sink_tokens, residual_tokens;  // of plan make; none: as the mode has it
    bool               force = false, json = false;
};

Result<int> show(const Options & o) {
    KVT_TRY(const auto model, model_if_given(o.model));
    KVT_TRY(const PrecisionPlan plan, load_plan_argument(o.plan, model, o.force ? Force::yes : Force::no));
    if (o.json) {
        print_json(plan_json(plan, o.shape));
    } else {
        fmt::print("{}", plan_text(plan, o.shape));
    }
    return 0;
}

Result<int> check(const Options & o) {
    KVT_TRY(const ModelInfo model, read_model_info(o.model));
    KVT_TRY(const PrecisionPlan plan, load_plan_argument(o.plan, model, o.force ? Force::yes : Force::no));
    if (o.json) {
        print_json(
            {{"schema", "kvtuner.plan_check"}, {"schema_version", 1}, {"plan", o.plan}, {"model", model.name}, {"ok", true}});
    } else {
        fmt::print("{}: a valid plan for \"{}\" ({} layers, payload {:.4g} bits)\n", o.plan, model.name, plan.layers.size(),
                   payload_bits(plan));
    }
    return 0;
}

// What the user wants otherwise than the mode prescribes.
Status adjust(PrecisionPlan & plan, const Options & o) {
    if (o.sink_tokens) plan.kept.sink_tokens = *o.sink_tokens;
    if (o.residual_tokens) plan.kept.residual_tokens = *o.residual_tokens;
    if (!o.key_group && !o.value_group) return ok_status();
    plan.mode = Mode::custom;
    for (LayerPlan & layer : plan.layers) {
        if (o.key_group && layer.k.codec != Codec::f16) layer.k.group = static_cast<uint16_t>(*o.key_group);
        if (o.value_group && layer.v.codec != Codec::f16) layer.v.group = static_cast<uint16_t>(*o.value_group);
        KVT_CHECK_OK(check_formats(layer, plan.model));
    }
    return ok_status();
}

Result<int> make(const Options & o) {
    KVT_TRY(const ModelInfo model, read_model_info(o.model));
    if (!looks_like_short_form(o.plan))
        return Error{fmt::format("\"{}\" is not a short form (examples: f16, kivi:K4V2, per-token:K8V4, rotated:KV4)", o.plan)};
    KVT_TRY(PrecisionPlan plan, load_plan_argument(o.plan, model, Force::no, o.calibration));
    KVT_CHECK_OK(adjust(plan, o));
    plan.provenance.tool_version = build_info::kVersion;
    plan.provenance.inputs       = {{"model", model.file_sha256}};
    KVT_CHECK_OK(write_plan_files(plan, o.output));
    if (o.json) {
        print_json(
            {{"schema", "kvtuner.plan_make"}, {"schema_version", 1}, {"plan", o.output}, {"payload_bits", payload_bits(plan)}});
    } else {
        fmt::print("wrote {} ({} layers, payload {:.4g} bits)\n", o.output, plan.layers.size(), payload_bits(plan));
    }
    return 0;
}

}  // namespace

void add_plan(Commands & commands) {
    auto       o    = std::make_shared<Options>();
    CLI::App * plan = commands.app.add_subcommand("plan", "Show, check, make and compare plans; which of them fits into memory");
    plan->require_subcommand(1);
    plan->footer(R"(Examples:
  kvtuner plan show tuned/plan.json -c 8192 --parallel 4
  kvtuner plan check tuned/plan.json -m model.gguf
  kvtuner plan make kivi:K4V2 -m model.gguf -o plan.json
  kvtuner plan fit -m model.gguf --memory 6GiB --ctx 65536
)");
    add_plan_library(commands, *plan);
    const auto json = [&](CLI::App * app) { app->add_flag("--json", o->json, "Print JSON"); };

    CLI::App * show_app = plan->add_subcommand("show", "What each layer stores, bits, and the exact size of the cache");
    show_app->add_option("PLAN", o->plan, "Plan file, or a short form with -m")->required();
    show_app->add_option("-m,--model", o->model, "GGUF model; the plan is checked against it");
    show_app->add_option("-c,--ctx-size", o->shape.n_ctx, "Context as given to llama.cpp (cells of all sequences)")
        ->check(CLI::Range(1, kMaxCells))
        ->capture_default_str();
    show_app->add_option("--parallel", o->shape.n_seq, "Sequences with a cache of their own (llama.cpp without --kv-unified)")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    force_option(*show_app, o->force);
    json(show_app);
    show_app->footer(
        "Examples:\n  kvtuner plan show tuned/plan.json -c 8192\n  kvtuner plan show kivi:K4V2 -m model.gguf --json\n");
    show_app->callback([&commands, o] { commands.action = [o] { return show(*o); }; });

    CLI::App * check_app = plan->add_subcommand("check", "Whether a plan is valid and made for a model");
    check_app->add_option("PLAN", o->plan, "Plan file or short form")->required();
    check_app->add_option("-m,--model", o->model, "GGUF model")->required();
    force_option(*check_app, o->force);
    json(check_app);
    check_app->footer("Example:\n  kvtuner plan check tuned/plan.json -m model.gguf\n");
    check_app->callback([&commands, o] { commands.action = [o] { return check(*o); }; });

    CLI::App * make_app = plan->add_subcommand("make", "Write a plan with the same precision for every layer");
    make_app->add_option("SHORT_FORM", o->plan, "f16, kivi:K4V2, per-token:K8V4, ...")->required();
    make_app->add_option("-m,--model", o->model, "GGUF model")->required();
    make_app->add_option("--calibration", o->calibration, "File of kvtuner calibrate, for rotated:KV4 and the like");
    make_app->add_option("-o,--output", o->output, "Plan file to write; transforms go into a .safetensors file beside it")
        ->required();
    const auto group = [&](const char * name, std::optional<int> & value, const char * what) {
        make_app->add_option(name, value, what)->check(CLI::Range(1, 1024));
    };
    group("--key-group", o->key_group, "Key elements that share a scale: channels of a token, or tokens of a channel in kivi");
    group("--value-group", o->value_group, "Value channels of a token that share a scale");
    make_app->add_option("--sink-tokens", o->sink_tokens, "First tokens of a sequence kept at 16 bits")
        ->check(CLI::Range(0, schema::kMaxSinks));
    make_app->add_option("--residual-tokens", o->residual_tokens, "Newest tokens kept at 16 bits, in kivi")
        ->check(CLI::Range(0, schema::kMaxResidual));
    json(make_app);
    make_app->footer(R"(Examples:
  kvtuner plan make kivi:K4V2 -m model.gguf -o plan.json
  kvtuner plan make kivi:KV4 --key-group 64 --sink-tokens 4 -m model.gguf -o plan.json
)");
    make_app->callback([&commands, o] { commands.action = [o] { return make(*o); }; });
}

}  // namespace kvt::cli
