// The header of a GGUF model: read or refused, and every kind of question about it has an answer.
#include "fuzz/fuzz_input.h"
#include "kvt/engine/llama/gguf_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const auto header = kvt::GgufHeader::parse(std::as_bytes(std::span(data, size)), "input");
    if (!header.ok()) return 0;
    for (const char * key :
         {"general.architecture", "general.alignment", "llama.block_count", "llama.attention.head_count_kv", ""}) {
        (void)header->text(key);
        (void)header->number(key);
        (void)header->numbers(key);
    }
    kvt::fuzz::expect(header->n_tensors() >= 0, "the number of tensors is no negative one");
    return 0;
}
