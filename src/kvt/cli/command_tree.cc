#include "kvt/cli/command_tree.h"

#include <algorithm>

namespace kvt::cli {

namespace {

// CLI11 writes "{raise,fit}" into the type of an option that takes one of these.
std::vector<std::string> choices_in(const std::string & type) {
    const size_t open = type.find('{'), close = type.find('}', open);
    if (open == std::string::npos || close == std::string::npos) return {};
    return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

OptionInfo option_info(const CLI::Option & option) {
    OptionInfo info;
    for (const std::string & name : option.get_snames()) info.names.push_back("-" + name);
    for (const std::string & name : option.get_lnames()) info.names.push_back("--" + name);
    if (info.names.empty()) info.positional = option.get_name(true);
    if (option.get_items_expected_min() > 0) {
        info.value   = option.get_type_name();
        info.choices = choices_in(info.value);
        info.preset  = option.get_default_str();
    }
    info.description = option.get_description();
    info.required    = option.get_required();
    info.repeated    = option.get_expected_max() == CLI::detail::expected_max_vector_size ||
                    option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    return info;
}

CommandInfo command_info(const CLI::App & app, const std::string & above) {
    CommandInfo info{above + app.get_name(), app.get_name(), app.get_description(), app.get_footer(), {}, {}};
    for (const CLI::Option * option : app.get_options()) info.options.push_back(option_info(*option));
    std::stable_partition(info.options.begin(), info.options.end(), [](const OptionInfo & o) { return o.positional.empty(); });
    for (const CLI::App * child : app.get_subcommands(nullptr)) info.subcommands.push_back(command_info(*child, info.path + " "));
    return info;
}

}  // namespace

CommandInfo command_tree(const CLI::App & app) { return command_info(app, ""); }

std::vector<const CommandInfo *> all_commands(const CommandInfo & tree) {
    std::vector<const CommandInfo *> all{&tree};
    for (const CommandInfo & child : tree.subcommands) {
        for (const CommandInfo * below : all_commands(child)) all.push_back(below);
    }
    return all;
}

}  // namespace kvt::cli
