// kvtuner doctor.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/doctor_checks.h"

namespace kvt::cli {

namespace {

void print_checks(const std::vector<Check> & checks) {
    for (const Check & check : checks) {
        const bool ok = check.state == Check::State::ok;
        fmt::print("{}  {:<18}  {}\n", ok ? styled(Style::good, "ok     ", stdout) : styled(Style::error, "PROBLEM", stdout),
                   check.name, check.found);
        if (!ok) fmt::print("         {:<18}  -> {}\n", "", check.advice);
    }
    fmt::print("\n{}\n", all_fine(checks) ? "Everything is in place." : "Something needs attention: follow the arrows.");
}

}  // namespace

void add_doctor(Commands & commands) {
    auto       json = std::make_shared<bool>(false);
    CLI::App * app = commands.app.add_subcommand("doctor", "Check processor, memory, llama.cpp, plugin, kernels and environment");
    app->add_flag("--json", *json, "Print JSON");
    app->footer(
        "The exit code is 0 only if everything is fine.\n\nExamples:\n  kvtuner doctor\n  KVT_FORCE_ISA=avx2 kvtuner doctor "
        "--json\n");
    app->callback([&commands, json] {
        commands.action = [json]() -> Result<int> {
            const std::vector<Check> checks = run_doctor();
            if (*json) {
                print_json(doctor_json(checks));
            } else {
                print_checks(checks);
            }
            return all_fine(checks) ? 0 : 1;
        };
    });
}

}  // namespace kvt::cli
