// Records of benchmark runs: read or refused; of one that was read, answers are written and read back equal, and it can be
// compared with itself.
#include "fuzz/memory_file.h"
#include "kvt/harness/compare.h"
#include "kvt/harness/summary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const kvt::fuzz::MemoryFile file(kvt::fuzz::text_of(data, size));
    const auto                  record = kvt::read_task_record(file.path());
    if (!record.ok()) return 0;
    for (const kvt::ItemLine & line : record->lines) {
        const std::string written = kvt::write_line(line);
        const auto        again   = kvt::read_line(kvt::Json::parse(written));
        kvt::fuzz::expect(again.ok() && kvt::write_line(*again) == written, "a written answer is read back equal");
    }
    (void)kvt::to_json(kvt::summarize(record->lines));
    if (const auto same = kvt::compare_records(*record, *record); same.ok()) {
        kvt::fuzz::expect(same->flips.empty(), "a run does not differ from itself");
        (void)kvt::to_json(*same, 0.01);
    }
    return 0;
}
