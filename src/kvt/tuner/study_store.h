// The study of a search on disk: an SQLite file that grows by one commit for every plan scored (docs/formats/study.md).
//
// One process writes, with a FileLock around it; any number may read meanwhile (write-ahead log), and see whole evaluations only.
// Earlier studies were JSON files; they are read as they are, and turned into SQLite when a search goes on with them.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/tuner/database.h"
#include "kvt/tuner/records.h"

namespace kvt {

// --- Interface ---

inline constexpr int kStudyVersion = 2;  // of the database; the JSON records in it have their own

// The file that holds the study that belongs at `path`: `path` itself, or where only an earlier kvtuner was at work, the
// study.json beside study.sqlite; empty if there is none.
std::string study_file(const std::string & path);

// Errors: unreadable, damaged, not a study, of a newer version. The message names the file and what to do.
Result<Study> read_study(const std::string & file);

class StudyStore {
public:
    // A file at `path` that holds `study` and nothing else, whole or not at all; what was there is replaced.
    static Result<StudyStore> create(const std::string & path, const Study & study);
    // Goes on with the study that read_study(study_file(path)) gave, which is JSON or SQLite.
    static Result<StudyStore> resume(const std::string & path, const Study & stored);

    StudyStore(StudyStore &&)             = default;
    StudyStore & operator=(StudyStore &&) = delete;
    // Folds the log into the file, unless somebody is reading: a finished study is one file that can be copied.
    ~StudyStore();

    // Brings the file up to `study` in one synchronous commit. Evaluations are only ever added, and labels filled in.
    Status save(const Study & study);

private:
    StudyStore(std::unique_ptr<Database> database, const Study & saved);
    Status commit(const Study & study, const std::string & head);

    std::unique_ptr<Database> database_;  // statements point to it
    std::vector<std::string>  labels_;    // of the evaluations in the file
    std::set<std::string>     ahead_;     // hashes of plans that came ahead of the search
    std::string               head_;      // the record in the file
};

}  // namespace kvt
