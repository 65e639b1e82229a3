#include "kvt/report/results.h"

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/tuner/study_store.h"

namespace kvt {

namespace {

template <class Record>
Status read_optional(const std::string & path, Result<Record> (*parse)(std::string_view), std::optional<Record> & record) {
    if (!file_exists(path)) return ok_status();
    KVT_TRY(record, read_record_file(path, parse));
    return ok_status();
}

Error other_model(const Study & study, const std::string & path, const std::string & name, const std::string & sha256) {
    return Error{fmt::format("{} is of the model \"{}\" ({:.12}), the study of \"{}\" ({:.12}): the folder mixes two runs", path,
                             name, sha256, study.model.name, study.model.file_sha256)};
}

template <class Record>
Status check_model(const Study & study, const std::optional<Record> & record, const std::string & path) {
    if (!record || record->model == study.model) return ok_status();
    return other_model(study, path, record->model.name, record->model.file_sha256);
}

Status check_task_model(const Study & study, const TaskRecord & record) {
    const Json model = record.header.value("model", Json::object());
    if (!model.contains("file_sha256")) {
        return Error{
            fmt::format("{} does not say which model answered: ask the server with kvtuner eval -m MODEL too, or move the "
                        "record out of the folder",
                        record.path)};
    }
    const auto sha256 = model["file_sha256"].get<std::string>();
    if (sha256 == study.model.file_sha256) return ok_status();
    return other_model(study, record.path, model.value("name", ""), sha256);
}

}  // namespace

std::vector<PairBits> chosen_pairs(const Results & results) {
    if (results.plan) return pairs_of(*results.plan);
    if (results.held_out && !results.held_out->plans.empty()) return results.held_out->plans.front().pairs;
    return {};
}

Result<Results> read_results(const std::string & folder) {
    const auto        at    = [&](const char * name) { return folder + "/" + name; };
    const std::string study = study_file(at("study.sqlite"));
    if (study.empty())
        return Error{fmt::format("{} does not exist: give the folder that kvtuner tune -o wrote", at("study.sqlite"))};
    Results results;
    KVT_TRY(results.study, read_study(study));
    if (results.study.evaluations.empty())
        return Error{fmt::format("{} holds no plan yet: wait until tune has scored one", study)};
    KVT_CHECK_OK(read_optional(at("held_out.json"), parse_held_out, results.held_out));
    KVT_CHECK_OK(read_optional(at("plan.json"), parse_plan, results.plan));
    KVT_CHECK_OK(read_optional(at("sensitivity.json"), parse_sensitivity, results.sensitivity));
    KVT_CHECK_OK(read_optional(at("candidates.json"), parse_candidates, results.candidates));
    KVT_CHECK_OK(read_optional(at("bench.json"), parse_bench, results.bench));
    KVT_CHECK_OK(read_optional(at("eval_kld.json"), parse_kld_view, results.positions));
    KVT_CHECK_OK(check_model(results.study, results.held_out, at("held_out.json")));
    KVT_CHECK_OK(check_model(results.study, results.plan, at("plan.json")));
    KVT_CHECK_OK(check_model(results.study, results.sensitivity, at("sensitivity.json")));
    KVT_CHECK_OK(check_model(results.study, results.candidates, at("candidates.json")));
    if (results.bench && results.bench->file_sha256 != results.study.model.file_sha256)
        return other_model(results.study, at("bench.json"), results.bench->model, results.bench->file_sha256);
    if (results.positions && results.positions->file_sha256 != results.study.model.file_sha256)
        return other_model(results.study, at("eval_kld.json"), results.positions->model, results.positions->file_sha256);
    KVT_TRY(const std::vector<TaskRecord> records, read_task_records(folder));
    for (const TaskRecord & record : records) KVT_CHECK_OK(check_task_model(results.study, record));
    KVT_TRY(results.tasks, task_runs(records, folder));

    const std::vector<PairBits> pairs = chosen_pairs(results);
    if (results.held_out && !results.held_out->plans.empty() && results.held_out->plans.front().pairs != pairs) {
        return Error{fmt::format("{} holds another plan than {} was measured for: run kvtuner tune once more", at("plan.json"),
                                 at("held_out.json"))};
    }
    for (size_t i = 0; i < results.study.evaluations.size() && results.chosen < 0 && !pairs.empty(); ++i)
        if (results.study.evaluations[i].pairs == pairs) results.chosen = static_cast<int>(i);
    return results;
}

}  // namespace kvt
