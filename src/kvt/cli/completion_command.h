// The subcommands about the command line itself; they read the options of all others.
#pragma once

#include "kvt/cli/commands.h"

namespace kvt::cli {

// --- Interface ---

void add_completion(Commands &);  // completion
void add_man(Commands &);         // man

}  // namespace kvt::cli
