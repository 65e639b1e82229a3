// One function per subcommand, each in a file of its own: declare options, and set the action that main runs.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "kvt/base/result.h"

namespace kvt::cli {

// --- Interface ---

// What the chosen subcommand does once options are parsed; the returned value is the exit code.
// An Error is printed as "kvtuner: <message>" on stderr with exit code 1 (130 after an interrupt).
using Action = std::function<Result<int>()>;

struct Commands {
    CLI::App & app;
    Action     action;  // set by the callback of the chosen subcommand
};

void add_tune(Commands &);         // tune
void add_calibrate(Commands &);    // calibrate
void add_profile(Commands &);      // profile
void add_prune(Commands &);        // prune
void add_cluster(Commands &);      // cluster
void add_search(Commands &);       // search
void add_eval(Commands &);         // eval kld | eval ppl, and the three below
void add_data(Commands &);         // data
void add_plan(Commands &);         // plan show | check | make, and those of add_plan_library
void add_export(Commands &);       // export
void add_import(Commands &);       // import
void add_report(Commands &);       // report
void add_bench(Commands &);        // bench
void add_doctor(Commands &);       // doctor
void add_lcb_convert(Commands &);  // lcb-convert
void add_serve(Commands &);        // serve
void add_run(Commands &);          // run

void add_plan_library(Commands &, CLI::App & plan);  // plan list | diff | fit

void add_eval_task(CLI::App & eval, Commands &);       // eval TASK: options of `eval` itself
void add_eval_agreement(CLI::App & eval, Commands &);  // eval agreement
void add_eval_compare(CLI::App & eval, Commands &);    // eval compare

void add_commands(Commands &);  // all of them, in the order of --help

}  // namespace kvt::cli
