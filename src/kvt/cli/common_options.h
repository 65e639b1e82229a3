// Options that several commands have, in one wording.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "kvt/cli/plan_argument.h"

namespace kvt::cli {

// --- Interface ---

// --plan, which may be repeated, and --calibration. Returns --plan.
CLI::Option * plan_options(CLI::App & app, PlanArguments & plans);
void          force_option(CLI::App & app, bool & force);
void          threads_option(CLI::App & app, int & n_threads);
void          batch_options(CLI::App & app, int & n_batch, int & n_ubatch);
void          margin_option(CLI::App & app, double & points);
void          plugin_option(CLI::App & app, std::string & plugin);

}  // namespace kvt::cli
