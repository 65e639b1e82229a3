// kvtuner lcb-convert.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/table.h"
#include "kvt/cli/terminal_progress.h"
#include "kvt/tasks/code/lcb_convert.h"

namespace kvt::cli {

namespace {

struct Options {
    std::vector<std::string> inputs;
    std::string              window, output;
    bool                     json = false;
};

std::string text_of(const LcbCounts & counts, const Options & o) {
    Table files({{"file", Align::left}, {"problems"}, {"in the window"}});
    for (const LcbFileCount & file : counts.files) files.row({file.path, std::to_string(file.rows), std::to_string(file.kept)});
    Table      groups({{"", Align::left}, {"problems"}, {"tests"}});
    const auto add = [&groups](const char * what, const std::map<std::string, int64_t> & numbers) {
        for (const auto & [name, n] : numbers) groups.row({fmt::format("{} {}", what, name), std::to_string(n), ""});
    };
    add("difficulty", counts.difficulty);
    add("platform", counts.platform);
    for (const auto & [name, n] : counts.problems)
        groups.row({fmt::format("test type {}", name), std::to_string(n), std::to_string(counts.tests.at(name))});
    return fmt::format("{}\n{}\nWritten to {}: {} problems.\n", files.text(), groups.text(), o.output, counts.kept);
}

Result<int> convert(const Options & o) {
    KVT_TRY(const LcbWindow window, parse_window(o.window));
    TerminalProgress progress;
    KVT_TRY(const LcbCounts counts, convert_livecodebench(o.inputs, window, o.output, progress));
    if (!o.json) {
        fmt::print("{}", text_of(counts, o));
        return 0;
    }
    nlohmann::ordered_json j{
        {"schema", "kvtuner.lcb_convert"}, {"schema_version", 1}, {"output", o.output},
        {"window", window.name},           {"kept", counts.kept}, {"files", nlohmann::ordered_json::array()}};
    for (const LcbFileCount & file : counts.files)
        j["files"].push_back({{"path", file.path}, {"rows", file.rows}, {"kept", file.kept}});
    j["difficulty"] = counts.difficulty;
    j["platform"]   = counts.platform;
    j["problems"]   = counts.problems;
    j["tests"]      = counts.tests;
    print_json(j);
    return 0;
}

}  // namespace

void add_lcb_convert(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("lcb-convert", "LiveCodeBench's files as one file of a date window");
    app->add_option("IN", o->inputs, "test.jsonl, test2.jsonl, ... of livecodebench/code_generation_lite")->required();
    app->add_option("--window", o->window,
                    "v5, v6, jan-apr-2025, or FIRST..END such as 2025-01..2025-05 (END itself is outside); default: all");
    app->add_option("-o,--output", o->output, "File to write")->required();
    app->add_flag("--json", o->json, "Print the counts as JSON");
    app->footer(
        R"(Hidden tests become plain JSON; problems are sorted by contest date, then by question id. The files belong to their owners
and come from Hugging Face; kvtuner downloads nothing.
Example:
  kvtuner lcb-convert test*.jsonl --window jan-apr-2025 -o lcb.jsonl
)");
    app->callback([&commands, o] { commands.action = [o] { return convert(*o); }; });
}

}  // namespace kvt::cli
