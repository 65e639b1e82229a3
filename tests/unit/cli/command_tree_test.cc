// The command tree, and the texts made of it, where the program's own options have no special characters.
#include "kvt/cli/command_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/cli/completion_text.h"
#include "kvt/cli/man_text.h"

namespace kvt::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CommandTree : public ::testing::Test {
protected:
    CommandTree() {
        app_.set_help_flag("-h,--help", "Print this help");
        CLI::App * plan = app_.add_subcommand("plan", "Plans");
        show_           = plan->add_subcommand("show", "What's [stored]: all of it");
        show_->add_option("PLAN", text_, "Plan file")->required();
        show_->add_option("-m,--model", text_, ".gguf file, or 'none'");
        show_->add_option("--method", text_, "How")->check(CLI::IsMember({"exact", "sampled"}))->default_str("exact");
        show_->add_option("--threads", number_, "Threads")->check(CLI::Range(1, 8));
        show_->add_option("--text", texts_, "May be repeated");
        show_->add_flag("--json", flag_, "Print JSON");
        show_->footer("Some words.\nExample:\n  kvtuner plan show 'a\\b'\n");
    }

    CLI::App                 app_{"Does things", "kvtuner"};
    CLI::App *               show_ = nullptr;
    std::string              text_;
    std::vector<std::string> texts_;
    int                      number_ = 0;
    bool                     flag_   = false;
};

TEST_F(CommandTree, HoldsWhatTheParserKnows) {
    const CommandInfo tree = command_tree(app_);
    const auto        all  = all_commands(tree);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[2]->path, "kvtuner plan show");
    const auto & options = all[2]->options;
    ASSERT_EQ(options.size(), 7u);
    EXPECT_THAT(options[0].names, ElementsAre("-h", "--help"));
    EXPECT_EQ(options[0].value, "");
    EXPECT_THAT(options[1].names, ElementsAre("-m", "--model"));
    EXPECT_TRUE(options[1].takes_text());
    EXPECT_FALSE(options[1].repeated);
    EXPECT_THAT(options[2].choices, ElementsAre("exact", "sampled"));
    EXPECT_EQ(options[2].preset, "exact");
    EXPECT_FALSE(options[2].takes_text());
    EXPECT_FALSE(options[3].takes_text());
    EXPECT_TRUE(options[3].choices.empty());
    EXPECT_TRUE(options[4].repeated);
    EXPECT_EQ(options[5].value, "");
    EXPECT_EQ(options[6].positional, "PLAN");
    EXPECT_TRUE(options[6].required);
}

TEST_F(CommandTree, ShellsGetQuotedTexts) {
    const CommandInfo tree = command_tree(app_);
    EXPECT_THAT(zsh_completion(tree), HasSubstr("'show:What'\\''s \\[stored\\]\\: all of it'"));
    EXPECT_THAT(zsh_completion(tree), HasSubstr("'(-m --model)'{-m+,--model=}'[.gguf file, or '\\''none'\\'']:TEXT:_files'"));
    EXPECT_THAT(fish_completion(tree), HasSubstr("-a show -d 'What\\'s [stored]: all of it'"));
    EXPECT_THAT(fish_completion(tree), HasSubstr("-l method -x -a 'exact sampled' -d 'How'"));
    EXPECT_THAT(bash_completion(tree), HasSubstr("'kvtuner plan show:--method')\n        _kvtuner_words \"exact sampled\""));
}

TEST_F(CommandTree, ManPageEscapesRoff) {
    const std::string page = man_page(command_tree(app_), "1.2.3", "2026-01-02");
    EXPECT_THAT(page, HasSubstr(".TH KVTUNER 1 \"2026-01-02\" \"kvtuner 1.2.3\""));
    EXPECT_THAT(page, HasSubstr("\\fB\\-m\\fR, \\fB\\-\\-model\\fR \\fITEXT\\fR\n\\&.gguf file, or 'none'\n"));
    EXPECT_THAT(page, HasSubstr("kvtuner plan show 'a\\eb'\n.fi"));
    EXPECT_THAT(page, HasSubstr("(default: exact)"));
    EXPECT_THAT(page, Not(HasSubstr("\n\n")));
}

}  // namespace
}  // namespace kvt::cli
