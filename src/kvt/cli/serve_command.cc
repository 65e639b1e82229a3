// kvtuner serve | run.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/host_program.h"

namespace kvt::cli {

namespace {

struct Options {
    HostRequest request;
    bool        force = false, dry_run = false;
};

Result<int> start(const Options & o) {
    HostRequest request = o.request;
    request.force       = o.force ? Force::yes : Force::no;
    KVT_TRY(const HostLaunch launch, prepare_launch(request));
    fmt::print(stderr, "plan: {}\n", launch.plan_line);
    if (o.dry_run) {
        fmt::print("{}\n", launch_text(launch));
        return 0;
    }
    return start_host(launch);
}

void add(Commands & commands, HostRole role, const char * name, const char * what, const char * examples) {
    auto o          = std::make_shared<Options>();
    o->request.role = role;
    CLI::App * app  = commands.app.add_subcommand(name, what);
    app->add_option("-m,--model", o->request.model, "GGUF model")->required();
    app->add_option("--plan", o->request.plan,
                    "Plan file or short form; default: the newest plan of this model in the plan library, else its preset in "
                    "KVT_PRESETS, else 8 bits without calibration");
    if (role == HostRole::server) {
        app->add_option("--draft-plan", o->request.draft_plan,
                        "The same for the draft model that a flag behind -- names (--spec-draft-model FILE)");
    }
    app->add_option(role == HostRole::server ? "--bin,--llama-server" : "--bin", o->request.bin,
                    "Your own build of llama.cpp: the folder of its programs, or the program; its version is checked");
    plugin_option(*app, o->request.plugin);
    force_option(*app, o->force);
    app->add_flag("--dry-run", o->dry_run, "Print the command and do not run it");
    app->add_option("FLAGS", o->request.flags, "Flags of the llama.cpp program, behind --");
    app->footer(examples);
    app->callback([&commands, o] { commands.action = [o] { return start(*o); }; });
}

}  // namespace

void add_serve(Commands & commands) {
    add(commands, HostRole::server, "serve", "Start stock llama-server with a plan",
        R"(llama-server takes the place of kvtuner, so Ctrl-C, signals and exit codes are its own; it listens on 127.0.0.1 unless --host is given.
Examples:
  kvtuner serve -m model.gguf
  kvtuner serve -m model.gguf --plan tuned/plan.json -- -c 32768 --port 8081
  kvtuner serve -m model.gguf --plan tuned/plan.json --draft-plan small/plan.json -- --spec-draft-model small.gguf --spec-type draft-simple
  kvtuner serve -m model.gguf --dry-run
)");
}

void add_run(Commands & commands) {
    add(commands, HostRole::chat, "run", "Chat in the terminal: stock llama-completion (or llama-cli) with a plan",
        R"(Examples:
  kvtuner run -m model.gguf
  kvtuner run -m model.gguf --plan kivi:K8V4 -- -n 256 -p "You are a poet"
)");
}

}  // namespace kvt::cli
