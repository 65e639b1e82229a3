// Scripts that complete the command line in a shell, made from the command tree; they need nothing but the shell itself.
#pragma once

#include <string>

#include "kvt/cli/command_tree.h"

namespace kvt::cli {

// --- Interface ---

// Subcommands, options and the fixed values of options are completed; text that follows may be a file name.
std::string bash_completion(const CommandInfo & tree);
std::string zsh_completion(const CommandInfo & tree);   // with descriptions; installed as _kvtuner in a folder of fpath
std::string fish_completion(const CommandInfo & tree);  // with descriptions

}  // namespace kvt::cli
