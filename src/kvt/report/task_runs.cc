#include "kvt/report/task_runs.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "kvt/base/optional_json.h"
#include "kvt/base/utf8.h"
#include "kvt/report/report_data.h"

namespace kvt {

namespace {

namespace fs = std::filesystem;

constexpr std::streamsize kHeaderStart = 256;  // bytes; a record's header begins with its schema
constexpr size_t          kAnswerBytes = 60;

bool begins_as_task_record(const fs::path & path) {
    std::ifstream in(path, std::ios::binary);
    std::string   start(kHeaderStart, '\0');
    in.read(start.data(), kHeaderStart);
    start.resize(static_cast<size_t>(in.gcount()));
    return start.find(kTaskSchema) != std::string::npos;
}

void records_below(const fs::path & folder, int depth, std::vector<std::string> & found) {
    std::error_code error;
    for (const auto & entry : fs::directory_iterator(folder, error)) {
        if (depth > 0 && entry.is_directory(error)) records_below(entry.path(), depth - 1, found);
        if (entry.path().extension() == ".jsonl" && entry.is_regular_file(error) && begins_as_task_record(entry.path()))
            found.push_back(entry.path().string());
    }
}

std::string short_line(const std::string & text) {
    const std::string line = clean_text(text);
    return line.size() <= kAnswerBytes ? line : std::string(utf8_prefix(line, kAnswerBytes - 3)) + "...";
}

std::string short_answer(const ItemLine & line) {
    return short_line(line.error.empty() ? line.extracted : "error: " + line.error);
}

ChangedAnswer changed_answer(const Flip & flip, bool private_text) {
    ChangedAnswer c{flip.first->item, flip.first->sample, {}, {}, {}, flip.first_score, flip.second_score};
    if (private_text) return c;
    c.gold      = short_line(flip.first->gold);
    c.reference = short_answer(*flip.first);
    c.answer    = short_answer(*flip.second);
    return c;
}

bool before(const TaskRecord * a, const TaskRecord * b) {
    const auto rank = [](const TaskRecord & r) {
        const Json plan = r.header.value("plan", Json::object());
        return std::tuple(plan.value("stock", false) ? 0 : 1, r.header.value(kStartedField, ""), r.path);
    };
    return rank(*a) < rank(*b);
}

TaskPlan task_plan(const TaskRecord & record, const std::string & folder) {
    TaskPlan plan;
    plan.name     = run_name(record);
    plan.file     = fs::path(record.path).lexically_relative(folder).string();
    plan.complete = !record.summary.is_null();
    plan.summary  = summarize(record.lines);
    for (const SampleScore & s : plan.summary.samples) plan.summary.scores.push_back({s.score + " " + s.name, s.value});
    plan.summary.samples.clear();
    plan.cells          = by_tenths(retrieval_map(record.lines));
    const Json settings = record.header.value("plan", Json::object());
    if (settings.contains("effective_bits")) plan.effective_bits = settings["effective_bits"].get<double>();
    return plan;
}

// `records`: of the same questions, the reference first.
Result<TaskRun> run_of(const std::vector<const TaskRecord *> & records, const std::string & folder) {
    const TaskRecord & reference = *records.front();
    const Json &       header    = reference.header;
    TaskRun            run;
    run.task         = header.value("task", "");
    run.variant      = header.value("variant", "");
    run.settings     = settings_text(reference);
    run.n_items      = header.value("n_items", 0);
    run.private_text = std::any_of(records.begin(), records.end(),
                                   [](const TaskRecord * record) { return record->header.value("private_text", false); });
    for (const auto & warning : header.value("warnings", Json::array())) run.warnings.push_back(warning.get<std::string>());
    for (const TaskRecord * record : records) {
        TaskPlan   plan = task_plan(*record, folder);
        const bool known =
            std::any_of(run.plans.begin(), run.plans.end(), [&](const TaskPlan & p) { return p.name == plan.name; });
        if (known) plan.name += " (" + plan.file + ")";
        if (record != &reference && plan.complete && !reference.summary.is_null()) {
            KVT_TRY(RunComparison comparison, compare_records(reference, *record));
            plan.differences = std::move(comparison.scores);
            for (const Flip & flip : comparison.flips) plan.changed.push_back(changed_answer(flip, run.private_text));
        }
        run.plans.push_back(std::move(plan));
    }
    return run;
}

Json plan_json(const TaskPlan & plan, double margin) {
    Json summary = to_json(plan.summary);
    summary.erase("groups");  // as many as a task has topics; not shown
    Json j{{"name", plan.name},         {"record", plan.file},           {"effective_bits", or_null(plan.effective_bits)},
           {"complete", plan.complete}, {"summary", std::move(summary)}, {"differences", Json::object()},
           {"changed", Json::array()}};
    for (const ScoreDifference & d : plan.differences) j["differences"][d.name] = to_json(d, margin);
    for (const ChangedAnswer & c : plan.changed) {
        j["changed"].push_back({{"item", c.item},
                                {"sample", c.sample},
                                {"gold", or_null(c.gold)},
                                {"reference", or_null(c.reference)},
                                {"answer", or_null(c.answer)},
                                {"reference_score", c.reference_score},
                                {"score", c.score}});
    }
    return j;
}

}  // namespace

Result<std::vector<TaskRecord>> read_task_records(const std::string & folder) {
    std::vector<std::string> paths;
    records_below(folder, 1, paths);
    std::sort(paths.begin(), paths.end());
    std::vector<TaskRecord> records;
    for (const std::string & path : paths) {
        KVT_TRY(TaskRecord record, read_task_record(path));
        records.push_back(std::move(record));
    }
    return records;
}

Result<std::vector<TaskRun>> task_runs(const std::vector<TaskRecord> & records, const std::string & folder) {
    std::vector<std::vector<const TaskRecord *>> groups;
    for (const TaskRecord & record : records) {
        const auto same = std::find_if(groups.begin(), groups.end(),
                                       [&](const auto & group) { return same_questions(*group.front(), record); });
        if (same != groups.end()) {
            same->push_back(&record);
        } else {
            groups.push_back({&record});
        }
    }
    std::vector<TaskRun> runs;
    for (auto & group : groups) {
        std::sort(group.begin(), group.end(), before);
        KVT_TRY(TaskRun run, run_of(group, folder));
        runs.push_back(std::move(run));
    }
    std::stable_sort(runs.begin(), runs.end(), [](const TaskRun & a, const TaskRun & b) {
        return std::tie(a.task, a.variant) < std::tie(b.task, b.variant);
    });
    return runs;
}

std::string task_title(const std::string & task, const std::string & variant) {
    return variant.empty() ? task : task + " " + variant;
}

bool compared(const std::vector<TaskRun> & runs) {
    return std::any_of(runs.begin(), runs.end(), [](const TaskRun & run) {
        return std::any_of(run.plans.begin(), run.plans.end(), [](const TaskPlan & plan) { return !plan.differences.empty(); });
    });
}

const ScoreDifference * difference_of(const TaskPlan & plan, const std::string & name) {
    const auto found =
        std::find_if(plan.differences.begin(), plan.differences.end(), [&](const ScoreDifference & d) { return d.name == name; });
    return found != plan.differences.end() ? &*found : nullptr;
}

Json task_runs_json(const std::vector<TaskRun> & runs, double margin) {
    Json out{{"margin", margin}, {"runs", Json::array()}};
    for (const TaskRun & run : runs) {
        Json plans = Json::array();
        for (const TaskPlan & plan : run.plans) plans.push_back(plan_json(plan, margin));
        out["runs"].push_back({{"task", run.task},
                               {"variant", run.variant},
                               {"settings", run.settings},
                               {"n_items", run.n_items},
                               {"private_text", run.private_text},
                               {"warnings", run.warnings},
                               {"plans", std::move(plans)}});
    }
    return out;
}

}  // namespace kvt
