// What the fuzz targets share: the entry point that libFuzzer and replay_main.cc call, bytes as text, and a check that ends the
// run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// --- Interface ---

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

namespace kvt::fuzz {

inline std::string_view text_of(const uint8_t * data, size_t size) { return {reinterpret_cast<const char *>(data), size}; }

inline void expect(bool holds, const char * what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

}  // namespace kvt::fuzz
