// kvtuner data.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/console.h"
#include "kvt/cli/table.h"
#include "kvt/tasks/data_list.h"

namespace kvt::cli {

namespace {

using State = tasks::DataState::State;

const char * state_name(State state) {
    switch (state) {
        case State::present:
            return "present";
        case State::missing:
            return "missing";
        case State::changed:
            return "changed";
        case State::user:
            break;
    }
    return "yours";
}

int list_data(bool json) {
    Table table(
        {{"task", Align::left}, {"file", Align::left}, {"state", Align::left}, {"licence", Align::left}, {"from", Align::left}});
    auto document = nlohmann::ordered_json::array();
    bool fine     = true;
    for (const tasks::DataFile & file : tasks::data_list()) {
        const tasks::DataState state = tasks::data_state(file);
        fine &= state.state == State::present || state.state == State::user;
        table.row({file.task, file.file, state_name(state.state), file.licence, file.source});
        document.push_back({{"task", file.task},
                            {"file", file.file},
                            {"state", state_name(state.state)},
                            {"path", state.path},
                            {"sha256", state.sha256},
                            {"expected_sha256", file.sha256},
                            {"licence", file.licence},
                            {"source", file.source}});
    }
    if (json) {
        print_json(document);
    } else {
        fmt::print("{}\n{}\n", table.text(),
                   fine ? "Everything that comes with kvtuner is here and unchanged. \"yours\": you bring the file; nothing is "
                          "downloaded."
                        : "Files are missing or changed: install kvtuner again, or name your own with --data.");
    }
    return fine ? 0 : 1;
}

}  // namespace

void add_data(Commands & commands) {
    auto       json = std::make_shared<bool>(false);
    CLI::App * app =
        commands.app.add_subcommand("data", "Which data the benchmark tasks need, where it comes from, and whether it is here");
    app->add_flag("--json", *json, "Print JSON");
    app->footer(
        "The exit code is 0 only if all shipped files are present and unchanged.\n\nExamples:\n  kvtuner data\n  kvtuner data "
        "--json\n");
    app->callback([&commands, json] { commands.action = [json]() -> Result<int> { return list_data(*json); }; });
}

}  // namespace kvt::cli
