// kvtuner report: what tune found, as a page, as Markdown, as CSV.
#include <memory>

#include <fmt/format.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/commands.h"
#include "kvt/cli/common_options.h"
#include "kvt/cli/console.h"
#include "kvt/report/html_page.h"
#include "kvt/report/report_data.h"
#include "kvt/report/results.h"
#include "kvt/report/text_files.h"

namespace kvt::cli {

namespace {

struct Options {
    std::string folder, output, markdown, csv;
    double      margin = 1;  // points
    bool        json   = false;
};

Result<int> run_report(const Options & o) {
    KVT_TRY(Results results, read_results(o.folder));
    results.margin = o.margin / 100;
    if (o.json) {
        print_json(report_json(results, build_info::kVersion));
        return 0;
    }
    const std::string        page = o.output.empty() ? o.folder + "/report.html" : o.output;
    std::vector<std::string> written{page};
    KVT_CHECK_OK(write_file_atomic(page, html_page(report_json(results, build_info::kVersion))));
    if (!o.markdown.empty()) {
        KVT_CHECK_OK(write_file_atomic(o.markdown, markdown_report(results, build_info::kVersion)));
        written.push_back(o.markdown);
    }
    if (!o.csv.empty()) {
        KVT_CHECK_OK(make_folder(o.csv));
        for (const NamedText & file : csv_files(results)) {
            const std::string path = o.csv + "/" + file.name;
            KVT_CHECK_OK(write_file_atomic(path, file.text));
            written.push_back(path);
        }
    }
    for (const std::string & path : written) fmt::print("wrote {}\n", path);
    return 0;
}

}  // namespace

void add_report(Commands & commands) {
    auto       o   = std::make_shared<Options>();
    CLI::App * app = commands.app.add_subcommand("report", "Show what tune found: one HTML file with charts, Markdown, CSV");
    app->add_option("DIR", o->folder, "Folder that kvtuner tune -o wrote")->required();
    app->add_option("-o,--output", o->output, "HTML file to write; default: report.html in DIR");
    app->add_option("--markdown", o->markdown, "Markdown file to write as well");
    app->add_option("--csv", o->csv, "Folder for one CSV file per table");
    margin_option(*app, o->margin);
    app->add_flag("--json", o->json, "Print the records as JSON, and write nothing");
    app->footer("Examples:\n  kvtuner report tuned\n  kvtuner report tuned -o report.html --markdown report.md --csv figures\n");
    app->callback([&commands, o] { commands.action = [o] { return run_report(*o); }; });
}

}  // namespace kvt::cli
