#include "kvt/cli/app.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include <fmt/format.h>
#include <kvt_build_info.h>
#include <nlohmann/json.hpp>

#include "kvt/base/progress.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/plugin_api/llama_versions.h"

namespace kvt::cli {

namespace {

constexpr const char * kDescription =
    "kvtuner finds which precision the K and V cache of each layer of a GGUF model can bear, and writes it down as a plan\n"
    "that an unmodified llama.cpp runs through the kvtuner plugin.";

constexpr const char * kExamples = R"(Examples:
  kvtuner doctor                                        what this machine has, and what is missing
  kvtuner tune -m model.gguf -o tuned                   the whole pipeline, one folder of results
  kvtuner plan show tuned/plan.json -c 8192             what a plan stores, and its exact size
  kvtuner eval kld -m model.gguf --plan kivi:K8V4       how far a plan moves the model
  kvtuner bench -m model.gguf --plan kivi:K8V4          how fast it is, beside stock f16
Each subcommand explains itself: kvtuner <subcommand> --help
)";

int usage_error(const CLI::App & app, std::string message) {
    // CLI11 asks for "a subcommand" even if the user wrote one, misspelt.
    if (const auto rest = app.remaining(true); !rest.empty() && message.find("subcommand") != std::string::npos) {
        message = fmt::format("\"{}\" is not a subcommand", rest.front());
    }
    const CLI::App * at   = &app;
    std::string      name = app.get_name();
    while (!at->get_subcommands().empty()) {
        at = at->get_subcommands().front();
        name += " " + at->get_name();
    }
    fmt::print(stderr, "kvtuner: {}\nRun \"{} --help\" for the options.\n", message, name);
    return kExitUsage;
}

int run_action(const Action & action) {
    const Result<int> result = action();
    if (!result.ok()) {
        fmt::print(stderr, "{} {}\n", styled(Style::error, "kvtuner:", stderr), result.error().message);
        return interrupted() ? kExitInterrupt : kExitError;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        fmt::print(stderr, "kvtuner: cannot write the output: {}\n", std::strerror(errno));
        return kExitError;
    }
    return *result;
}

int parse_and_run(int argc, const char * const * argv) {
    CLI::App app{kDescription, "kvtuner"};
    app.footer(kExamples);
    app.require_subcommand(1);
    app.set_version_flag(
        "--version", [] { return version_line(); },
        "Print version, commit, llama.cpp version, ISA, and the versions of llama.cpp that the plugin serves");
    app.set_help_flag("-h,--help", "Print this help");
    Commands commands{app, {}};
    add_commands(commands);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success & e) {  // help or version was asked for
        app.exit(e);
        return std::fflush(stdout) == 0 ? 0 : kExitError;
    } catch (const CLI::ParseError & e) {
        return usage_error(app, e.what());
    }
    if (!commands.action) return usage_error(app, "this subcommand needs one of its own subcommands");
    return run_action(commands.action);
}

}  // namespace

std::string version_line() {
    std::string isa    = "unknown (no plugin)";
    const auto  plugin = load_plugin();
    if (plugin.ok()) {
        const auto about = nlohmann::json::parse((*plugin)->describe(), nullptr, false);
        if (about.is_object()) isa = about.value("isa", "unknown");
    }
    return fmt::format("kvtuner {} llama.cpp {} isa {} plugin for llama.cpp {}", tool_version(), build_info::kLlamaVersion, isa,
                       llama_versions_text());
}

int run(int argc, const char * const * argv) {
    // A limit of file sizes is then an error of write(), with words. Not ignored, because a program that serve or run starts
    // would inherit that.
    std::signal(SIGXFSZ, [](int) {});
    // Not fmt::print, which throws: stderr may be what cannot be written.
    try {
        install_interrupt_handler();
        return parse_and_run(argc, argv);
    } catch (const std::system_error & e) {  // fmt::print into a full disk
        std::fprintf(stderr, "kvtuner: cannot write the output: %s\n", e.what());
    } catch (const std::bad_alloc &) {
        std::fprintf(stderr, "kvtuner: out of memory\n");
    } catch (const std::exception & e) {
        std::fprintf(stderr, "kvtuner: internal error: %s\n", e.what());
    }
    return kExitError;
}

}  // namespace kvt::cli
