// Plan files and short forms: any text is read or refused, and what was read is written and read back equal.
#include "fuzz/fuzz_input.h"
#include "kvt/plan/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const std::string_view text = kvt::fuzz::text_of(data, size);
    if (const auto plan = kvt::parse_plan(text); plan.ok()) {
        const std::string written = kvt::write_plan(*plan);
        const auto        again   = kvt::parse_plan(written);
        kvt::fuzz::expect(again.ok() && kvt::write_plan(*again) == written, "a written plan is read back equal");
        kvt::fuzz::expect(kvt::plan_size(*plan, 4096).bytes > 0 || plan->layers.empty(), "a plan takes memory");
    }
    (void)kvt::parse_short_form(text);
    return 0;
}
