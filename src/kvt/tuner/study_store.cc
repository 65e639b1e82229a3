#include "kvt/tuner/study_store.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"

namespace kvt {

namespace {

constexpr int64_t kApplicationId = 0x6b767473;  // "kvts"

constexpr const char * kDatabaseName = "study.sqlite";
constexpr const char * kEarlierName  = "study.json";

// The records are the JSON forms of tuner/records.h; what people ask for by SQL stands beside them as columns.
constexpr const char * kSchema = R"(
CREATE TABLE study (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  record        TEXT NOT NULL,
  model         TEXT AS (record ->> '$.model.name'),
  model_sha256  TEXT AS (record ->> '$.model.file_sha256'),
  data_sha256   TEXT AS (record ->> '$.data_sha256'),
  inputs_sha256 TEXT AS (record ->> '$.inputs_sha256'),
  method        TEXT AS (record ->> '$.method'),
  mode          TEXT AS (record ->> '$.mode'),
  complete      INTEGER AS (record ->> '$.complete')
) STRICT;
CREATE TABLE evaluation (
  plan_sha256    TEXT PRIMARY KEY,
  position       INTEGER UNIQUE,
  record         TEXT NOT NULL,
  n_chunks       INTEGER NOT NULL,
  seconds        REAL NOT NULL,
  label          TEXT AS (record ->> '$.label'),
  payload_bits   REAL AS (record ->> '$.payload_bits'),
  effective_bits REAL AS (record ->> '$.effective_bits'),
  kld            REAL AS (record ->> '$.kld'),
  kld_ci_low     REAL AS (record ->> '$.kld_ci_low'),
  kld_ci_high    REAL AS (record ->> '$.kld_ci_high')
) STRICT;
)";

// What leads from each version of the database to the next; new files are made the same way.
constexpr const char * kMigrations[] = {
    "ALTER TABLE evaluation ADD COLUMN worker TEXT NOT NULL DEFAULT ''",
};
static_assert(1 + std::size(kMigrations) == kStudyVersion);

// What makes two plans of one study the same.
std::string plan_hash(const Study & study, const std::vector<PairBits> & pairs) {
    std::string text = fmt::format("{} {}", mode_name(study.mode), study.calibration.sha256);
    for (const PairBits & p : pairs) text += " " + pair_name(p.k, p.v);
    return sha256_hex(text);
}

struct ScoredBy {
    double      seconds = 0;
    std::string worker;
};

Result<Study> read_database(const Database & database, const std::string & file) {
    KVT_CHECK_OK(database.check());
    KVT_TRY(const int64_t id, database.integer("PRAGMA application_id"));
    if (id != kApplicationId)
        return Error{fmt::format("{}: a database of another program, not a study of kvtuner: choose another output", file)};
    KVT_TRY(const int64_t version, database.integer("PRAGMA user_version"));
    if (version > kStudyVersion) {
        return Error{
            fmt::format("{}: written by a newer kvtuner (version {} of the file, this one knows {}): update kvtuner, or start "
                        "over with --fresh",
                        file, version, kStudyVersion)};
    }
    KVT_CHECK_OK(database.run("BEGIN"));  // one state for both queries
    KVT_TRY(const std::string head, database.text("SELECT record FROM study"));
    std::vector<std::string> evaluations;
    std::vector<ScoredBy>    by;
    size_t                   n_ahead = 0;
    // Those without a position come last.
    KVT_TRY(Statement rows, database.prepare(fmt::format("SELECT record, seconds, {}, position IS NULL FROM evaluation "
                                                         "ORDER BY position NULLS LAST, plan_sha256",
                                                         version < 2 ? "''" : "worker")));
    for (;;) {
        KVT_TRY(const bool row, rows.step());
        if (!row) break;
        evaluations.push_back(rows.text(0));
        by.push_back({rows.number(1), rows.text(2)});
        n_ahead += rows.integer(3) != 0 ? 1 : 0;
    }
    auto study = parse_study(head, evaluations);
    if (!study.ok()) return Error{fmt::format("{}: {}; remove it, or start over with --fresh", file, study.error().message)};
    for (size_t i = 0; i < by.size(); ++i) {
        study->evaluations[i].seconds = by[i].seconds;
        study->evaluations[i].worker  = by[i].worker;
    }
    const auto ahead = study->evaluations.end() - static_cast<ptrdiff_t>(n_ahead);
    study->ahead.assign(std::make_move_iterator(ahead), std::make_move_iterator(study->evaluations.end()));
    study->evaluations.erase(ahead, study->evaluations.end());
    return study;
}

bool is_json(const std::string & file) { return std::ifstream(file).peek() == '{'; }

// study.json beside study.sqlite; empty for other names.
std::string earlier_form(const std::string & path) {
    if (file_name(path) != kDatabaseName) return "";
    return std::filesystem::path(path).replace_filename(kEarlierName).string();
}

// An evaluation that was ahead gets its position when the search comes to it.
constexpr const char * kPutEvaluation =
    "INSERT INTO evaluation (plan_sha256, position, record, n_chunks, seconds, worker) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (plan_sha256) DO UPDATE SET position = excluded.position, record = excluded.record";

//   position  none: ahead of the search
Status put_evaluation(Statement & put, const Study & study, const Evaluation & e, std::optional<size_t> position) {
    put.bind(0, plan_hash(study, e.pairs));
    if (position) put.bind(1, static_cast<int64_t>(*position));
    put.bind(2, write_evaluation(e));
    put.bind(3, static_cast<int64_t>(study.n_chunks));
    put.bind(4, e.seconds);
    put.bind(5, e.worker);
    return put.run();
}

constexpr const char * kPutHead =
    "INSERT INTO study (id, record) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record";

Status put_head(const Database & database, const std::string & head) {
    KVT_TRY(Statement put, database.prepare(kPutHead));
    put.bind(0, head);
    return put.run();
}

Status migrate(const Database & database, int64_t version) {
    KVT_CHECK_OK(database.run("BEGIN IMMEDIATE"));
    for (; version < kStudyVersion; ++version) KVT_CHECK_OK(database.run(kMigrations[version - 1]));
    KVT_CHECK_OK(database.run(fmt::format("PRAGMA user_version = {}", version)));
    return database.run("COMMIT");
}

// Every commit is on the disk when it returns, and readers are not kept waiting.
Result<Database> open_for_commits(const std::string & path) {
    KVT_TRY(Database database, Database::open(path, Database::Access::write));
    KVT_CHECK_OK(database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
    return database;
}

// The bytes of a file with this study.
Result<std::string> image_of(const Study & study) {
    KVT_TRY(const Database database, Database::open(":memory:", Database::Access::write));
    KVT_CHECK_OK(database.run(fmt::format("PRAGMA application_id = {}", kApplicationId)));
    KVT_CHECK_OK(database.run(kSchema));
    KVT_CHECK_OK(migrate(database, 1));
    KVT_CHECK_OK(put_head(database, write_study_head(study)));
    KVT_TRY(Statement put, database.prepare(kPutEvaluation));
    for (size_t i = 0; i < study.evaluations.size(); ++i) KVT_CHECK_OK(put_evaluation(put, study, study.evaluations[i], i));
    for (const Evaluation & e : study.ahead) KVT_CHECK_OK(put_evaluation(put, study, e, std::nullopt));
    return database.serialized();
}

}  // namespace

std::string study_file(const std::string & path) {
    if (file_exists(path)) return path;
    const std::string earlier = earlier_form(path);
    return !earlier.empty() && file_exists(earlier) ? earlier : "";
}

Result<Study> read_study(const std::string & file) {
    if (is_json(file)) {
        auto study = read_record_file<Study>(file, parse_study);
        if (!study.ok()) return Error{study.error().message + "; remove it, or start over with --fresh"};
        return study;
    }
    KVT_TRY(const Database database, Database::open(file, Database::Access::read));
    return read_database(database, file);
}

StudyStore::StudyStore(std::unique_ptr<Database> database, const Study & saved)
    : database_(std::move(database)), head_(write_study_head(saved)) {
    for (const Evaluation & e : saved.evaluations) labels_.push_back(e.label);
    for (const Evaluation & e : saved.ahead) ahead_.insert(plan_hash(saved, e.pairs));
}

StudyStore::~StudyStore() {
    if (database_) (void)database_->run("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE");
}

Result<StudyStore> StudyStore::create(const std::string & path, const Study & study) {
    KVT_TRY(const std::string bytes, image_of(study));
    std::error_code ignored;
    // A log of the old file must not be taken for one of the new.
    for (const char * suffix : {"-wal", "-shm", "-journal"}) std::filesystem::remove(path + suffix, ignored);
    KVT_CHECK_OK(write_file_atomic(path, bytes));
    if (const std::string earlier = earlier_form(path); !earlier.empty()) std::filesystem::remove(earlier, ignored);
    KVT_TRY(Database database, open_for_commits(path));
    return StudyStore(std::make_unique<Database>(std::move(database)), study);
}

Result<StudyStore> StudyStore::resume(const std::string & path, const Study & stored) {
    if (!file_exists(path) || is_json(path)) return create(path, stored);
    KVT_TRY(Database database, open_for_commits(path));
    KVT_TRY(const int64_t version, database.integer("PRAGMA user_version"));
    if (version < kStudyVersion) KVT_CHECK_OK(migrate(database, version));
    return StudyStore(std::make_unique<Database>(std::move(database)), stored);
}

Status StudyStore::commit(const Study & study, const std::string & head) {
    KVT_TRY(Statement rename, database_->prepare("UPDATE evaluation SET record = ? WHERE position = ?"));
    for (size_t i = 0; i < labels_.size(); ++i) {
        if (study.evaluations[i].label == labels_[i]) continue;
        rename.bind(0, write_evaluation(study.evaluations[i]));
        rename.bind(1, static_cast<int64_t>(i));
        KVT_CHECK_OK(rename.run());
    }
    KVT_TRY(Statement put, database_->prepare(kPutEvaluation));
    for (size_t i = labels_.size(); i < study.evaluations.size(); ++i)
        KVT_CHECK_OK(put_evaluation(put, study, study.evaluations[i], i));
    for (const Evaluation & e : study.ahead) {
        if (ahead_.insert(plan_hash(study, e.pairs)).second) KVT_CHECK_OK(put_evaluation(put, study, e, std::nullopt));
    }
    if (head != head_) KVT_CHECK_OK(put_head(*database_, head));
    return database_->run("COMMIT");
}

Status StudyStore::save(const Study & study) {
    const std::string head = write_study_head(study);
    KVT_CHECK_OK(database_->run("BEGIN IMMEDIATE"));
    Status done = commit(study, head);
    if (!done.ok()) {
        (void)database_->run("ROLLBACK");
        return done;
    }
    head_ = head;
    labels_.clear();
    for (const Evaluation & e : study.evaluations) labels_.push_back(e.label);
    return ok_status();
}

}  // namespace kvt
