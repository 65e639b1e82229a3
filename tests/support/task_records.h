// Small benchmark records: what kvtuner eval TASK leaves behind.
#pragma once

#include <string>
#include <vector>

#include "kvt/base/json_text.h"
#include "kvt/harness/record.h"
#include "kvt/harness/summary.h"
#include "support/plans.h"

namespace kvt::testing {

// --- Interface ---

// A finished run of "gsm8k text": one answer for every score, right (1) or wrong.
inline TaskRecord task_record(const std::string & plan, const std::vector<double> & scores, bool stock = false) {
    TaskRecord r;
    r.path   = plan + ".jsonl";
    r.header = Json{{"schema", kTaskSchema},
                    {"schema_version", 1},
                    {"task", "gsm8k"},
                    {"variant", "text"},
                    {"n_items", scores.size()},
                    {"samples", 1},
                    {"mode", "generate"},
                    {"max_new_tokens", 1024},
                    {"shots", 4},
                    {"seed", 7},
                    {"model", {{"name", "example-4L"}, {"arch", "llama"}, {"file_sha256", example_model().file_sha256}}},
                    {"plan", {{"name", plan}, {"payload_bits", 4}, {"effective_bits", 4.5}, {"stock", stock}}}};
    for (size_t i = 0; i < scores.size(); ++i) {
        ItemLine l;
        l.item          = std::to_string(i);
        l.finish        = "eog";
        l.prompt_sha256 = "p" + l.item;
        l.gold          = "18";
        l.extracted     = scores[i] == 1 ? "18" : "17";
        l.response      = "It is " + l.extracted;
        l.scores        = {{"flexible", scores[i]}};
        r.lines.push_back(std::move(l));
    }
    r.summary = to_json(summarize(r.lines));
    return r;
}

// The same as the file holds it; without its summary the run is unfinished.
inline std::string record_text(const TaskRecord & r) {
    std::string text = json_text(r.header) + "\n";
    for (const ItemLine & line : r.lines) text += write_line(line);
    if (!r.summary.is_null()) text += json_text(Json{{"summary", r.summary}}) + "\n";
    return text;
}

// As a needle task: item i has depth 10 i and the first or second of two lengths.
inline TaskRecord needle_record(const std::string & plan, const std::vector<double> & scores, bool stock = false) {
    TaskRecord r        = task_record(plan, scores, stock);
    r.header["task"]    = "niah_single_1";
    r.header["variant"] = "chat";
    for (size_t i = 0; i < r.lines.size(); ++i)
        r.lines[i].groups = {{"length", i % 2 == 0 ? "4096" : "8192"}, {"depth", std::to_string(10 * (i / 2))}};
    r.summary = to_json(summarize(r.lines));
    return r;
}

}  // namespace kvt::testing
