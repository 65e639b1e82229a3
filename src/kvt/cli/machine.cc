#include "kvt/cli/machine.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <sched.h>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/stopwatch.h"

namespace kvt::cli {

namespace {

// The text after the colon of the first line that begins with `key`; empty if there is none.
std::string_view field(std::string_view text, std::string_view key) {
    size_t at = 0;
    while (at < text.size()) {
        std::string_view line = text.substr(at, text.find('\n', at) - at);
        at += line.size() + 1;
        const size_t colon = line.find(':');
        if (!line.starts_with(key) || colon == std::string_view::npos) continue;
        line.remove_prefix(colon + 1);
        line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
        return line;
    }
    return {};
}

// Eight sums hide the latency of the additions, so that loads are the limit even without vectorisation.
uint64_t sum_words(const uint64_t * words, size_t n) {
    uint64_t sums[8] = {};
    for (size_t i = 0; i + 8 <= n; i += 8) {
        for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
    }
    uint64_t total = 0;
    for (const uint64_t sum : sums) total += sum;
    return total;
}

}  // namespace

std::string processor_name(std::string_view cpuinfo) {
    const std::string_view name = field(cpuinfo, "model name");
    return name.empty() ? "unknown" : std::string(name);
}

Result<Memory> parse_meminfo(std::string_view meminfo) {
    const auto kib = [&](std::string_view key) -> Result<uint64_t> {
        const std::string_view text  = field(meminfo, key);
        uint64_t               value = 0;
        const auto [end, error]      = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{}) return Error{fmt::format("/proc/meminfo has no {}", key)};
        return value;
    };
    KVT_TRY(const uint64_t total, kib("MemTotal"));
    KVT_TRY(const uint64_t available, kib("MemAvailable"));
    return Memory{total * 1024, available * 1024};
}

Processor find_processor() {
    Processor  processor;
    const auto cpuinfo = read_file("/proc/cpuinfo");
    processor.name     = cpuinfo.ok() ? processor_name(*cpuinfo) : "unknown";
    cpu_set_t set;
    CPU_ZERO(&set);
    processor.cores =
        ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency());
    if (processor.cores < 1) processor.cores = 1;
    return processor;
}

Result<Memory> find_memory() {
    KVT_TRY(const std::string text, read_file("/proc/meminfo"));
    return parse_meminfo(text);
}

Result<double> measure_read_bandwidth(size_t bytes, int threads, int passes) {
    const size_t n_threads = static_cast<size_t>(threads);
    const size_t slice     = bytes / sizeof(uint64_t) / n_threads;  // words
    const auto   failed    = [&](const char * why) {
        return Error{fmt::format("cannot measure with {} MiB and {} threads: {}", bytes >> 20, threads, why)};
    };
    try {
        const std::unique_ptr<uint64_t[]> words(new (std::nothrow) uint64_t[slice * n_threads]);
        if (!words) return failed("out of memory");
        std::vector<uint64_t> sums(n_threads);
        const auto            run = [&](auto && body) {
            std::vector<std::thread> workers;
            for (size_t t = 0; t < n_threads; ++t) workers.emplace_back([&, t] { body(t); });
            for (std::thread & worker : workers) worker.join();
        };
        run([&](size_t t) {  // written first: pages that were only read would all be the kernel's one zero page
            for (size_t i = 0; i < slice; ++i) words[t * slice + i] = i * 0x9e3779b97f4a7c15u + t;
        });
        double best = 0;
        for (int pass = 0; pass < passes; ++pass) {
            const Stopwatch watch;
            run([&](size_t t) { sums[t] += sum_words(&words[t * slice], slice); });
            best = std::max(best, static_cast<double>(slice * n_threads * sizeof(uint64_t)) / watch.seconds() / 1e9);
        }
        volatile uint64_t kept = 0;  // the sums are used, so the reads cannot be optimised away
        for (const uint64_t sum : sums) kept = kept + sum;
        return best;
    } catch (const std::exception & e) {
        return failed(e.what());
    }
}

}  // namespace kvt::cli
