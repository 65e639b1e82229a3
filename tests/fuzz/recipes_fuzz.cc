// Recipes of other engines: read or refused; a plan that comes out is one that the plan reader takes.
#include "fuzz/fuzz_input.h"
#include "kvt/recipes/import.h"
#include "kvt/recipes/layer_ranges.h"

namespace {

void check(const kvt::Result<kvt::recipes::Imported> & imported) {
    if (!imported.ok()) return;
    kvt::fuzz::expect(kvt::parse_plan(kvt::write_plan(imported->plan)).ok(), "an imported plan can be read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const std::string_view      text = kvt::fuzz::text_of(data, size);
    kvt::recipes::ImportOptions options;
    options.model       = {"tiny", "llama", std::string(64, 'a'), 4, 2, 64, 64};
    options.mode        = kvt::Mode::kivi;
    options.approx      = kvt::recipes::Approx::raise;
    options.map_foreign = true;
    check(kvt::recipes::import_kvtuner_yaml(text, "tiny_kivi.yaml", options));
    check(kvt::recipes::import_modelopt(text, options));
    check(kvt::recipes::import_gguf_keys({1, std::string(text), {0, 1, 2, 3}, {4, 4, 4, 4}, {4, 4, 4, 4}}, options));
    (void)kvt::recipes::expand_ranges(text, 64);
    return 0;
}
