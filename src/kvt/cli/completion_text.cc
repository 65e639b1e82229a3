#include "kvt/cli/completion_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/shell.h"

namespace kvt::cli {

namespace {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, what.size(), with);
    return text;
}

// 'kvtuner plan' | 'kvtuner plan show' | ...: every command, where a word more leads from one to the next.
std::string quoted_child_paths(const CommandInfo & tree, std::string_view between) {
    std::vector<std::string> paths;
    for (const CommandInfo * command : all_commands(tree)) {
        if (command != &tree) paths.push_back(shell_quoted(command->path));
    }
    return fmt::format("{}", fmt::join(paths, between));
}

// --- bash ---

// A line of the table that says what may follow on a command's path.
std::string bash_command(const CommandInfo & command) {
    std::vector<std::string> flags, words;
    bool                     files = false;
    for (const CommandInfo & child : command.subcommands) words.push_back(child.name);
    for (const OptionInfo & option : command.options) {
        flags.insert(flags.end(), option.names.begin(), option.names.end());
        if (!option.names.empty()) continue;
        files |= option.takes_text();
        words.insert(words.end(), option.choices.begin(), option.choices.end());
    }
    return fmt::format("    {}) flags=\"{}\" words=\"{}\" files={} ;;\n", shell_quoted(command.path), fmt::join(flags, " "),
                       fmt::join(words, " "), files ? "yes" : "no");
}

// What may follow on each option that takes a value.
std::string bash_values(const CommandInfo & command) {
    std::string out;
    for (const OptionInfo & option : command.options) {
        if (option.names.empty() || option.value.empty()) continue;
        std::vector<std::string> at;
        for (const std::string & name : option.names) at.push_back(shell_quoted(command.path + ":" + name));
        const std::string action = !option.choices.empty() ? fmt::format("_kvtuner_words \"{}\"", fmt::join(option.choices, " "))
                                   : option.takes_text()   ? "_kvtuner_files"
                                                           : ":";
        out += fmt::format("    {})\n        {}\n        return\n        ;;\n", fmt::join(at, " | "), action);
    }
    return out;
}

// --- zsh ---

// Inside of 'name[description]:message:action', in single quotes.
std::string zsh_escaped(const std::string & text) {
    std::string out = text;
    for (const char * special : {"\\", "[", "]", ":"}) out = replaced(out, special, std::string("\\") + special);
    return replaced(out, "'", "'\\''");
}

std::string zsh_function(const std::string & path) { return "_" + replaced(replaced(path, " ", "_"), "-", "_"); }

std::string zsh_action(const OptionInfo & option) {
    if (!option.choices.empty()) return fmt::format("({})", fmt::join(option.choices, " "));
    return option.takes_text() ? "_files" : " ";
}

std::string zsh_spec(const OptionInfo & option) {
    if (option.names.empty()) {
        return fmt::format("'{}:{}:{}'",
                           option.repeated   ? "*"
                           : option.required ? ""
                                             : ":",
                           zsh_escaped(option.positional), zsh_action(option));
    }
    const std::string value = option.value.empty() ? "" : ":" + zsh_escaped(option.value) + ":" + zsh_action(option);
    const std::string rest  = fmt::format("[{}]{}'", zsh_escaped(option.description), value);
    const std::string once  = option.repeated ? "'*'" : fmt::format("'({})'", fmt::join(option.names, " "));
    // --name=value and --name value are both right.
    std::vector<std::string> names;
    for (const std::string & name : option.names)
        names.push_back(name + (option.value.empty() ? "" : name.starts_with("--") ? "=" : "+"));
    if (names.size() == 1) return fmt::format("{}'{}{}", once, names[0], rest);
    return fmt::format("{}{{{}}}'{}", once, fmt::join(names, ","), rest);
}

std::string zsh_command(const CommandInfo & command) {
    std::string out = zsh_function(command.path) + "() {\n";
    if (!command.subcommands.empty()) out += "    local context state state_descr line\n    typeset -A opt_args\n";
    out += fmt::format("    _arguments -s {}\\\n", command.subcommands.empty() ? "" : "-C ");
    std::vector<std::string> specs;
    for (const OptionInfo & option : command.options) {
        // The first word after a command with subcommands is one of these, or what the command itself takes there.
        if (option.names.empty() && !command.subcommands.empty()) continue;
        specs.push_back(zsh_spec(option));
    }
    if (!command.subcommands.empty()) {
        specs.emplace_back("'1: :->command'");
        specs.emplace_back("'*:: :->arguments'");
    }
    out += fmt::format("        {}\n", fmt::join(specs, " \\\n        "));
    if (!command.subcommands.empty()) {
        out += "    case $state in\n    command)\n        local -a commands=(\n";
        for (const CommandInfo & child : command.subcommands)
            out += fmt::format("            '{}:{}'\n", child.name, zsh_escaped(child.description));
        out += "        )\n        _describe command commands\n        ;;\n    arguments)\n        case $line[1] in\n";
        for (const CommandInfo & child : command.subcommands)
            out += fmt::format("        {}) {} ;;\n", child.name, zsh_function(child.path));
        out += "        esac\n        ;;\n    esac\n";
    }
    return out + "}\n\n";
}

// --- fish ---

std::string fish_quoted(const std::string & text) { return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'"; }

std::string fish_option(const std::string & at, const OptionInfo & option) {
    if (option.names.empty()) return option.takes_text() ? fmt::format("complete -c kvtuner -n {} -F\n", at) : "";
    std::string out = fmt::format("complete -c kvtuner -n {}", at);
    for (const std::string & name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (!option.choices.empty()) {
        out += fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
    } else if (!option.value.empty()) {
        out += option.takes_text() ? " -r -F" : " -x";
    }
    return out + " -d " + fish_quoted(option.description) + "\n";
}

}  // namespace

std::string bash_completion(const CommandInfo & tree) {
    std::string commands, values;
    for (const CommandInfo * command : all_commands(tree)) {
        commands += bash_command(*command);
        values += bash_values(*command);
    }
    return fmt::format(R"(# Completion of kvtuner for bash, made by: kvtuner completion bash
_kvtuner() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} path=kvtuner flags= words= files=no i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; ++i)); do
        case "$path ${{COMP_WORDS[i]}}" in
        {}) path+=" ${{COMP_WORDS[i]}}" ;;
        *" --")
            _kvtuner_files
            return
            ;;
        esac
    done
    # Readline makes three words of --name=value.
    if [ "$current" = "=" ]; then
        current=
    elif [ "$before" = "=" ]; then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case "$path:$before" in
{}    esac
    case "$path" in
{}    esac
    case "$current" in
    -*) _kvtuner_words "$flags" ;;
    *)
        [ $files = no ] || _kvtuner_files
        mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -W "$words" -- "$current")
        ;;
    esac
}}
_kvtuner_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }}
_kvtuner_files() {{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}
complete -F _kvtuner kvtuner
)",
                       quoted_child_paths(tree, " | "), values, commands);
}

std::string zsh_completion(const CommandInfo & tree) {
    std::string out = "#compdef kvtuner\n# Completion of kvtuner for zsh, made by: kvtuner completion zsh\n\n";
    for (const CommandInfo * command : all_commands(tree)) out += zsh_command(*command);
    return out + "if [ \"$funcstack[1]\" = _kvtuner ]; then\n    _kvtuner \"$@\"\nelse\n    compdef _kvtuner kvtuner\nfi\n";
}

std::string fish_completion(const CommandInfo & tree) {
    std::string out = fmt::format(R"(# Completion of kvtuner for fish, made by: kvtuner completion fish
function __kvtuner_at
    set -l path kvtuner
    for word in (commandline -opc)[2..-1]
        switch "$path $word"
            case {}
                set path "$path $word"
        end
    end
    test "$path" = "$argv[1]"
end
complete -c kvtuner -f
)",
                                  quoted_child_paths(tree, " "));
    for (const CommandInfo * command : all_commands(tree)) {
        const std::string at = fish_quoted("__kvtuner_at \"" + command->path + "\"");
        for (const CommandInfo & child : command->subcommands)
            out += fmt::format("complete -c kvtuner -n {} -a {} -d {}\n", at, child.name, fish_quoted(child.description));
        for (const OptionInfo & option : command->options) out += fish_option(at, option);
    }
    return out;
}

}  // namespace kvt::cli
