// Records of the stages of a tune: read or refused, and a study that was read is written and read back equal.
#include "fuzz/fuzz_input.h"
#include "kvt/tuner/records.h"

namespace {

template <class Record>
void check(const kvt::Result<Record> & record, kvt::Result<Record> (*parse)(std::string_view)) {
    if (!record.ok()) return;
    const std::string written = kvt::write_record(*record);
    const auto        again   = parse(written);
    kvt::fuzz::expect(again.ok() && kvt::write_record(*again) == written, "a written record is read back equal");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const std::string_view text = kvt::fuzz::text_of(data, size);
    check(kvt::parse_study(text), kvt::parse_study);
    check(kvt::parse_sensitivity(text), kvt::parse_sensitivity);
    check(kvt::parse_candidates(text), kvt::parse_candidates);
    check(kvt::parse_groups(text), kvt::parse_groups);
    check(kvt::parse_held_out(text), kvt::parse_held_out);
    return 0;
}
