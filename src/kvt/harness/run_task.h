// Runs one task with one answerer into one record, from where the record stands.
#pragma once

#include <cstdint>
#include <string>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/harness/answerer.h"
#include "kvt/harness/record.h"
#include "kvt/harness/summary.h"

namespace kvt {

// --- Interface ---

enum class RetryErrors : uint8_t { no, yes };

struct RunOptions {
    AnswerOptions answers;
    int           n_samples = 1;
    uint64_t      seed      = 0;
    RetryErrors   retry     = RetryErrors::no;
};

// Errors: a sample count below 1, samples of greedy answers (they are all alike), sampling out of range, likelihoods of a task
// that has no continuations.
Status check_run(const Task & task, const TaskPrompts & prompts, const RunOptions & options);

// The part of a header that every way of answering shares; the caller adds model, plan, engine or server.
Json run_header(const Task & task, const TaskPrompts & prompts, const RunOptions & options);

// Opens the answerer only if something is left to answer.
using OpenAnswerer = std::function<Result<std::unique_ptr<Answerer>>()>;

// Done answers are kept, and scored if that was not possible before; the record gets its summary at the end. Errors: those of the
// record, of opening, of the answerer; "interrupted ...", after which the same call goes on.
Result<TaskRecord> run_task(const Task & task, const TaskPrompts & prompts, const RunOptions & options, const Json & header,
                            const std::string & path, const OpenAnswerer & open, Progress & progress);

}  // namespace kvt
