#include "kvt/cli/commands.h"

#include "kvt/cli/completion_command.h"

namespace kvt::cli {

void add_commands(Commands & commands) {
    add_tune(commands);
    add_calibrate(commands);
    add_profile(commands);
    add_prune(commands);
    add_cluster(commands);
    add_search(commands);
    add_eval(commands);
    add_data(commands);
    add_plan(commands);
    add_export(commands);
    add_import(commands);
    add_report(commands);
    add_serve(commands);
    add_run(commands);
    add_bench(commands);
    add_lcb_convert(commands);
    add_doctor(commands);
    add_completion(commands);
    add_man(commands);
}

}  // namespace kvt::cli
