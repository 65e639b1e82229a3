// The safetensors file of a calibration: read or refused, and written back to the same bytes.
#include "fuzz/fuzz_input.h"
#include "kvt/plan/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const auto file = kvt::parse_safetensors(kvt::fuzz::text_of(data, size));
    if (!file.ok()) return 0;
    const std::string written = kvt::write_safetensors(*file);
    const auto        again   = kvt::parse_safetensors(written);
    kvt::fuzz::expect(again.ok() && kvt::write_safetensors(*again) == written, "a written file is read back equal");
    return 0;
}
