#include "kvt/tasks/code/lcb_convert.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/tasks/code/lcb_problem.h"
#include "kvt/tasks/json_lines.h"

namespace kvt {

namespace {

struct Place {
    LcbHead     head;
    std::string path;
    uint64_t    offset = 0;
    int64_t     line   = 0;
};

Result<std::vector<Place>> find_rows(const std::vector<std::string> & inputs, const LcbWindow & window, LcbCounts & counts,
                                     Progress & progress) {
    std::vector<Place> places;
    progress.begin("reading", static_cast<int64_t>(inputs.size()));
    const auto keep = [&places](LcbHead head, const JsonRow & row) {
        places.push_back({std::move(head), row.path, row.offset, row.line});
        return ok_status();
    };
    auto files = read_lcb_files(inputs, window, keep, [&progress] { progress.done(1); });
    if (!files.ok()) return interrupted() ? Error{"interrupted; nothing was written"} : files.error();
    counts.files = std::move(*files);
    progress.end();
    if (places.empty())
        return Error{fmt::format("none of {} problems lies in the window {}", all_rows(counts.files), window.name)};
    std::sort(places.begin(), places.end(), [](const Place & a, const Place & b) {
        return std::tie(a.head.date, a.head.id) < std::tie(b.head.date, b.head.id);
    });
    return places;
}

void count_problem(const LcbProblem & problem, LcbCounts & counts) {
    ++counts.kept;
    ++counts.difficulty[problem.head.difficulty];
    ++counts.platform[problem.head.platform];
    std::set<std::string> kinds;
    for (const LcbTest & test : problem.tests) {
        const std::string kind(test_kind_name(test.kind));
        ++counts.tests[kind];
        kinds.insert(kind);
    }
    for (const std::string & kind : kinds) ++counts.problems[kind];
}

}  // namespace

Result<LcbCounts> convert_livecodebench(const std::vector<std::string> & inputs, const LcbWindow & window,
                                        const std::string & output, Progress & progress) {
    std::error_code absent;
    for (const std::string & path : inputs) {
        if (std::filesystem::equivalent(path, output, absent))
            return Error{fmt::format("{} is an input and the output: choose another output", output)};
    }
    LcbCounts counts;
    KVT_TRY(const std::vector<Place> places, find_rows(inputs, window, counts, progress));
    KVT_TRY(AtomicFile out, AtomicFile::create(output));
    progress.begin("writing", static_cast<int64_t>(places.size()));
    for (const Place & place : places) {
        if (interrupted()) return Error{"interrupted; nothing was written"};
        KVT_TRY(JsonRow row, JsonLines::read_again(place.path, place.offset, place.line));
        KVT_TRY(const LcbProblem problem, lcb_problem(row));
        row.object["private_test_cases"] = problem.private_tests;
        KVT_CHECK_OK(out.write(row.object.dump() + "\n"));
        count_problem(problem, counts);
        progress.done(1);
    }
    progress.end();
    KVT_CHECK_OK(out.commit());
    return counts;
}

}  // namespace kvt
