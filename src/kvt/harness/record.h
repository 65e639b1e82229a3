// The record of a run: JSON lines on disk, a header, one line an answer, a summary (docs/formats/task-record.md).
//
// Lines are appended and synced one by one. A record that was left unfinished is taken up again if its header is the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/file_lock.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

using Json = nlohmann::ordered_json;

inline constexpr const char * kTaskSchema   = "kvtuner.eval.task";
inline constexpr const char * kStartedField = "started";  // the one header field that a resumed run may change

// One answer and its verdict.
struct ItemLine {
    std::string                                 item;
    int                                         sample        = 0;
    uint32_t                                    seed          = 0;
    int                                         prompt_tokens = 0, new_tokens = 0;
    std::string                                 finish;  // finish_name(); "likelihood" when nothing was generated
    std::string                                 prompt_sha256;
    std::optional<std::string>                  response;  // none for private texts
    std::string                                 extracted, rule, gold;
    std::vector<std::pair<std::string, double>> scores;  // empty: not scored (code without consent), or an error
    std::map<std::string, std::string>          groups;
    std::vector<double>                         log_probabilities;  // one per continuation
    std::vector<int>                            continuation_tokens;
    std::vector<std::string>                    flags;
    std::string                                 error;  // not empty: counted as wrong
    double                                      prefill_seconds = 0, decode_seconds = 0;
};

std::string      write_line(const ItemLine & line);  // one line of JSON with its newline; bytes that are not UTF-8 become U+FFFD
Result<ItemLine> read_line(const Json & value);      // the error names the field

struct TaskRecord {
    std::string           path;
    Json                  header;
    std::vector<ItemLine> lines;    // in file order; of lines with one key the last counts and the others are gone
    Json                  summary;  // null while the run is unfinished
};

// Errors: no file, no header, another schema, a line that is not an answer (all with the line's number).
Result<TaskRecord> read_task_record(const std::string & path);

// The record being written. Locked against a second writer for as long as it lives.
class RecordFile {
public:
    // Creates the file with its header, or takes up the one that is there. A last line without newline is cut off.
    // Errors, all of which leave the file as it was: another header (naming the first field that differs), a broken line, another
    // writer, the system's own.
    static Result<RecordFile> open(const std::string & path, const Json & header);

    const TaskRecord & record() const { return record_; }

    Status append(ItemLine line);
    Status finish(const Json & summary);  // replaces the last summary

private:
    RecordFile(FileLock lock, Descriptor fd) : lock_(std::move(lock)), fd_(std::move(fd)) {}
    Status write_at_end(const std::string & text);

    FileLock   lock_;
    Descriptor fd_;
    TaskRecord record_;
    int64_t    end_ = 0;  // bytes of header and answers: where the next line goes
};

}  // namespace kvt
