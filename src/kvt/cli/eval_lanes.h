// The runs of one kvtuner eval TASK: the f16 reference and every plan, or a server; each with its record.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/kld.h"
#include "kvt/harness/run_task.h"
#include "kvt/tasks/task.h"

namespace kvt::cli {

// --- Interface ---

enum class Reference : uint8_t { run, skip };  // the stock f16 cache, first

struct LaneOptions {
    std::vector<NamedPlan> plans;
    Reference              reference = Reference::run;
    RunOptions             run;
    int                    n_ctx = 0;  // cells of a slot; 0: the longest prompt and answer, at most what the model was trained on
    int                    n_slots = 4, n_batch = 512, n_ubatch = 512, n_threads = 0;
    std::string            out, chat_template, server;
    int                    server_timeout = 600;
};

// Runs what is not yet in the records of the folder `out`, one lane after the other. `model` is null with a server that renders
// its own prompts. Errors: those of run_task; no item fits into the context.
Result<std::vector<TaskRecord>> run_lanes(const Task & task, const TaskPrompts & prompts, ModelRunner * model,
                                          const LaneOptions & options, Progress & progress);

// "gsm8k-text-kivi-K4V2.jsonl"; plan files have the start of their plan's hash in it.
std::string record_name(const TaskHeader & task, const std::string & lane, const std::string & plan_sha256);

}  // namespace kvt::cli
