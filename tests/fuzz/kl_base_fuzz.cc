// Base files of llama-perplexity: read or refused, and every row of one that was read is there.
#include <vector>

#include "fuzz/memory_file.h"
#include "kvt/eval/kl_base_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const kvt::fuzz::MemoryFile file(kvt::fuzz::text_of(data, size));
    auto                        base = kvt::KlBaseFile::open(file.path());
    if (!base.ok()) return 0;
    std::vector<float> row(static_cast<size_t>(base->n_vocab()));
    const int          n_records = base->n_ctx() - 1 - base->n_ctx() / 2;
    kvt::fuzz::expect(base->read_row(0, 0, row).ok(), "the first row is there");
    kvt::fuzz::expect(base->read_row(base->n_chunks() - 1, n_records - 1, row).ok(), "the last row is there");
    return 0;
}
