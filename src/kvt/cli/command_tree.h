// Subcommands and options of the program as plain data, so that man page and completions cannot differ from what it parses.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace kvt::cli {

// --- Interface ---

struct OptionInfo {
    std::vector<std::string> names;        // "-m", "--model"; empty: positional
    std::string              positional;   // "PLAN"; empty: not positional
    std::string              value;        // what follows: "TEXT", "INT in [1 - 256]"; empty: a flag
    std::vector<std::string> choices;      // all values it can have; empty: any
    std::string              preset;       // the default; empty: none to show
    std::string              description;  // one line
    bool                     required = false, repeated = false;

    bool takes_text() const { return choices.empty() && value == "TEXT"; }  // it may then be the name of a file
};

struct CommandInfo {
    std::string              path;  // "kvtuner plan show"
    std::string              name;  // "show"
    std::string              description, footer;
    std::vector<OptionInfo>  options;      // positional ones last
    std::vector<CommandInfo> subcommands;  // in the order of --help
};

CommandInfo command_tree(const CLI::App & app);

// `tree` and everything below it, parents before children. They point into `tree`.
std::vector<const CommandInfo *> all_commands(const CommandInfo & tree);

}  // namespace kvt::cli
