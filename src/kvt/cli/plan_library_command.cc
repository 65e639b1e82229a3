// kvtuner plan list | diff | fit.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/plan_argument.h"
#include "kvt/cli/plan_diff.h"
#include "kvt/cli/plan_fit.h"
#include "kvt/cli/plan_library.h"
#include "kvt/cli/table.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string  model, a, b;
    uint64_t     memory = 0;
    ContextShape shape{8192, 1};
    bool         json = false;
};

void say_unreadable(const Library & library) {
    for (const std::string & message : library.unreadable) fmt::print(stderr, "kvtuner: left out: {}\n", message);
}

Result<int> list(const Options & o) {
    KVT_TRY(const auto model, model_if_given(o.model));
    KVT_TRY(const Library library, read_library(model));
    say_unreadable(library);
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    Table                  table(
                         {{"model", Align::left}, {"mode", Align::left}, {"payload bits"}, {"effective bits"}, {"KLD"}, {"path", Align::left}});
    for (const LibraryPlan & p : library.plans) {
        const auto   kld       = measured_kld(p.plan);
        const double payload   = payload_bits(p.plan);
        const double effective = plan_size(p.plan, cells_per_sequence({})).effective_bits;
        table.row({p.plan.model.name, std::string(mode_name(p.plan.mode)), bits_text(payload), bits_text(effective),
                   kld_figure(kld), p.path});
        rows.push_back({{"model", p.plan.model.name},
                        {"model_sha256", p.plan.model.file_sha256},
                        {"mode", mode_name(p.plan.mode)},
                        {"payload_bits", payload},
                        {"effective_bits", effective},
                        {"kld_mean", kld_json(kld)},
                        {"path", p.path}});
    }
    if (o.json) {
        print_json({{"schema", "kvtuner.plan_list"}, {"schema_version", 1}, {"plans", rows}});
    } else if (library.plans.empty()) {
        KVT_TRY(const std::string folder, library_folder());
        fmt::print("No plans in {}; kvtuner tune puts its plan there.\n", folder);
    } else {
        fmt::print("{}", table.text());
    }
    return 0;
}

Result<int> diff(const Options & o) {
    KVT_TRY(const auto model, model_if_given(o.model));
    KVT_TRY(PrecisionPlan a, load_plan_argument(o.a, model, Force::no));
    KVT_TRY(PrecisionPlan b, load_plan_argument(o.b, model, Force::no));
    const NamedPlan first{o.a, std::move(a)}, second{o.b, std::move(b)};
    if (o.json) {
        KVT_TRY(const auto json, diff_json(first, second));
        print_json(json);
    } else {
        KVT_TRY(const std::string text, diff_text(first, second));
        fmt::print("{}", text);
    }
    return 0;
}

Result<int> fit(const Options & o) {
    KVT_TRY(const ModelInfo model, read_model_info(o.model));
    KVT_TRY(const Library library, read_library(model));
    say_unreadable(library);
    const FitQuestion question{o.memory, o.shape};
    const Fit         answer = fit_of(model, library.plans, question);
    if (o.json) {
        print_json(fit_json(model, answer, question));
    } else {
        fmt::print("{}", fit_text(model, answer, question));
    }
    return 0;
}

}  // namespace

void add_plan_library(Commands & commands, CLI::App & plan) {
    auto       o    = std::make_shared<Options>();
    const auto json = [&](CLI::App * app) { app->add_flag("--json", o->json, "Print JSON"); };

    CLI::App * list_app = plan.add_subcommand("list", "Finished plans of this user, newest first");
    list_app->add_option("-m,--model", o->model, "GGUF model; only its plans");
    json(list_app);
    list_app->footer("Example:\n  kvtuner plan list\n");
    list_app->callback([&commands, o] { commands.action = [o] { return list(*o); }; });

    CLI::App * diff_app = plan.add_subcommand("diff", "Two plans side by side");
    diff_app->add_option("A", o->a, "Plan file, or a short form with -m")->required();
    diff_app->add_option("B", o->b, "Plan file, or a short form with -m")->required();
    diff_app->add_option("-m,--model", o->model, "GGUF model; both plans are checked against it");
    json(diff_app);
    diff_app->footer("Example:\n  kvtuner plan diff tuned/plan.json kivi:KV4 -m model.gguf\n");
    diff_app->callback([&commands, o] { commands.action = [o] { return diff(*o); }; });

    CLI::App * fit_app = plan.add_subcommand("fit", "Which cache type for a model: what fits into memory, and what it costs");
    fit_app->add_option("-m,--model", o->model, "GGUF model")->required();
    fit_app->add_option("--memory", o->memory, "Memory for the KV cache alone, for example 6GiB")
        ->required()
        ->transform(CLI::AsSizeValue(false));
    fit_app->add_option("-c,--ctx", o->shape.n_ctx, "Context that is wanted, of all sequences together")
        ->check(CLI::Range(1, 1 << 28))
        ->capture_default_str();
    fit_app->add_option("--parallel", o->shape.n_seq, "Sequences with a cache of their own")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    json(fit_app);
    fit_app->footer("Example:\n  kvtuner plan fit -m model.gguf --memory 6GiB --ctx 65536\n");
    fit_app->callback([&commands, o] { commands.action = [o] { return fit(*o); }; });
}

}  // namespace kvt::cli
