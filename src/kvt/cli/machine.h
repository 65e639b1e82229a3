// What this machine has: processor, memory, and how fast all cores together can read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt::cli {

// --- Interface ---

struct Processor {
    std::string name;       // as the kernel reports it, "unknown" if it does not
    int         cores = 1;  // hardware threads in this process's affinity mask
};

struct Memory {
    uint64_t total_bytes = 0, available_bytes = 0;  // available: what can be had without swapping
};

Processor      find_processor();
Result<Memory> find_memory();

// The parsers under them, for any text of the two /proc files.
std::string    processor_name(std::string_view cpuinfo);
Result<Memory> parse_meminfo(std::string_view meminfo);

// Best of `passes` sequential reads of a buffer of `bytes`, split between `threads`, in GB/s (1e9 bytes a second). The
// buffer must be well beyond the caches: 256 MiB is. Higher is better; generation at long context is bound by this.
// Errors: no memory for the buffer, no threads.
Result<double> measure_read_bandwidth(size_t bytes, int threads, int passes);

}  // namespace kvt::cli
