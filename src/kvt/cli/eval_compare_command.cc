// kvtuner eval compare A B: two records of one benchmark.
#include <memory>

#include <fmt/format.h>

#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/cli/task_text.h"
#include "kvt/harness/compare.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string first, second;
    double      margin = 1;  // points
    bool        json   = false;
};

Result<int> compare(const Options & o) {
    KVT_TRY(const TaskRecord first, read_task_record(o.first));
    KVT_TRY(const TaskRecord second, read_task_record(o.second));
    KVT_TRY(const RunComparison comparison, compare_records(first, second));
    if (o.json) {
        Json out{{"schema", "kvtuner.eval.comparison"}, {"schema_version", 1}};
        out.update(to_json(comparison, o.margin / 100));
        print_json(out);
    } else {
        fmt::print("{}{}", runs_text({first, second}), comparison_text(comparison, o.margin / 100));
    }
    return 0;
}

}  // namespace

void add_eval_compare(CLI::App & eval, Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = eval.add_subcommand("compare", "Paired tests between two records of kvtuner eval TASK");
    app->add_option("reference", o->first, "Record of the reference")->required();
    app->add_option("candidate", o->second, "Record that is held against it")->required();
    margin_option(*app, o->margin);
    app->add_flag("--json", o->json, "Print JSON, with the responses of all items whose verdict changed");
    app->footer(R"(Both must be complete runs of the same items, prompts and settings.
Example:
  kvtuner eval compare kvtuner-eval/gsm8k-text-f16-stock.jsonl kvtuner-eval/gsm8k-text-kivi-KV4.jsonl
)");
    app->callback([&commands, o] { commands.action = [o] { return compare(*o); }; });
}

}  // namespace kvt::cli
