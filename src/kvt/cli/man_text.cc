#include "kvt/cli/man_text.h"

#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kvt::cli {

namespace {

std::string escaped(const std::string & text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    return out;
}

// A line of text; a dot or quote at its begin would be a command of roff.
std::string text_line(const std::string & text) {
    const bool command = text.starts_with(".") || text.starts_with("'");
    return (command ? "\\&" : "") + escaped(text) + "\n";
}

// Indented lines stand as they are, others are filled.
std::string paragraphs(const std::string & text) {
    std::istringstream lines(text);
    std::string        line, out;
    bool               verbatim = false;
    while (std::getline(lines, line)) {
        const bool indented = line.starts_with("  ");
        if (indented != verbatim) out += indented ? ".PP\n.RS 4\n.nf\n" : ".fi\n.RE\n.PP\n";
        verbatim = indented;
        if (!line.empty()) out += text_line(indented ? line.substr(2) : line);
    }
    return out + (verbatim ? ".fi\n.RE\n" : "");
}

std::string option_entry(const OptionInfo & option) {
    std::vector<std::string> names;
    for (const std::string & name : option.names) names.push_back("\\fB" + escaped(name) + "\\fR");
    if (names.empty()) names.push_back("\\fI" + escaped(option.positional) + "\\fR");
    std::string out = fmt::format(".TP\n{}", fmt::join(names, ", "));
    if (!option.value.empty() && !option.names.empty()) out += " \\fI" + escaped(option.value) + "\\fR";
    out += "\n" + text_line(option.description);
    if (!option.preset.empty()) out += text_line(fmt::format("(default: {})", option.preset));
    if (option.required) out += "Required.\n";
    return out;
}

std::string usage(const CommandInfo & command) {
    std::string out = fmt::format(".B {}\n", escaped(command.path));
    if (!command.subcommands.empty()) out += ".I SUBCOMMAND\n";
    out += "[\\fIoptions\\fR]\n";
    for (const OptionInfo & option : command.options) {
        if (!option.names.empty()) continue;
        const std::string dots = option.repeated ? " ..." : "";
        out += option.required ? fmt::format("\\fI{}\\fR{}\n", escaped(option.positional), dots)
                               : fmt::format("[\\fI{}\\fR{}]\n", escaped(option.positional), dots);
    }
    return out;
}

std::string section(const CommandInfo & command) {
    std::string out = fmt::format(".SS \"{}\"\n{}.PP\n{}", escaped(command.path), usage(command), text_line(command.description));
    for (const OptionInfo & option : command.options) out += option_entry(option);
    return command.footer.empty() ? out : out + ".PP\n" + paragraphs(command.footer);
}

}  // namespace

std::string man_page(const CommandInfo & tree, const std::string & version, const std::string & date) {
    std::string out = fmt::format(
        ".\\\" Made by: kvtuner man\n.TH KVTUNER 1 \"{}\" \"kvtuner {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH "
        "SYNOPSIS\n{}",
        date, version, tree.name, "per\\-layer precision of the KV cache for llama.cpp", usage(tree));
    out += ".SH DESCRIPTION\n" + paragraphs(tree.description);
    out += ".SH OPTIONS\n";
    for (const OptionInfo & option : tree.options) out += option_entry(option);
    out += ".SH SUBCOMMANDS\n";
    for (const CommandInfo * command : all_commands(tree)) {
        if (command != &tree) out += section(*command);
    }
    out += ".SH \"EXIT STATUS\"\n0 on success, 1 on an error, 2 for wrong options, 130 after an interrupt.\n";
    return out + ".SH EXAMPLES\n" + paragraphs(tree.footer);
}

}  // namespace kvt::cli
