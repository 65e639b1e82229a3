// kvtuner completion | man.
#include "kvt/cli/completion_command.h"

#include <memory>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/cli/command_tree.h"
#include "kvt/cli/completion_text.h"
#include "kvt/cli/man_text.h"

namespace kvt::cli {

void add_completion(Commands & commands) {
    auto       shell = std::make_shared<std::string>();
    CLI::App * app   = commands.app.add_subcommand("completion", "Print a script that completes this command line in a shell");
    app->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    app->footer(R"(Installed packages bring these files; with a build of your own:
Examples:
  . <(kvtuner completion bash)
  kvtuner completion zsh > ~/.zfunc/_kvtuner
  kvtuner completion fish > ~/.config/fish/completions/kvtuner.fish
)");
    app->callback([&commands, shell] {
        commands.action = [&commands, shell]() -> Result<int> {
            const CommandInfo tree = command_tree(commands.app);
            fmt::print("{}", *shell == "bash"  ? bash_completion(tree)
                             : *shell == "zsh" ? zsh_completion(tree)
                                               : fish_completion(tree));
            return 0;
        };
    });
}

void add_man(Commands & commands) {
    CLI::App * app = commands.app.add_subcommand("man", "Print the manual page of all subcommands");
    app->footer("Example:\n  kvtuner man | man -l -\n");
    app->callback([&commands] {
        commands.action = [&commands]() -> Result<int> {
            fmt::print("{}", man_page(command_tree(commands.app), build_info::kVersion, build_info::kCommitDate));
            return 0;
        };
    });
}

}  // namespace kvt::cli
