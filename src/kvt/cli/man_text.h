// The manual page kvtuner(1), made from the command tree.
#pragma once

#include <string>

#include "kvt/cli/command_tree.h"

namespace kvt::cli {

// --- Interface ---

// man(7) markup, ASCII. `version`: "0.1.0"; `date`: of the commit, "2026-11-29".
std::string man_page(const CommandInfo & tree, const std::string & version, const std::string & date);

}  // namespace kvt::cli
