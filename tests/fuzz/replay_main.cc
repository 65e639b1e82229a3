// Runs a fuzz target without libFuzzer: every file of a corpus, then a fixed number of mutations of each, the same on every
// machine.
//
//   x_fuzz CORPUS [MUTATIONS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "kvt/base/file_io.h"
#include "kvt/base/rng.h"

namespace {

// One to four bytes changed, cut off, or copied to another place.
std::string mutate(std::string bytes, kvt::SplitMix64 & rng) {
    const auto below = [&](size_t n) { return static_cast<size_t>(rng.below(n)); };
    for (size_t i = 1 + below(4); i > 0 && !bytes.empty(); --i) {
        const size_t at = below(bytes.size());
        switch (below(4)) {
            case 0:
                bytes[at] = static_cast<char>(below(256));
                break;
            case 1:
                bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
                break;
            case 2:
                bytes.resize(at);
                break;
            default:
                bytes.insert(below(bytes.size()), bytes.substr(at, 1 + below(16)));
        }
    }
    return bytes;
}

void run(const std::string & bytes) { LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()); }

}  // namespace

int main(int argc, char ** argv) {
    const std::filesystem::path folder(argc > 1 ? argv[1] : "");
    const int                   mutations = argc > 2 ? std::atoi(argv[2]) : 0;
    std::vector<std::string>    paths;
    std::error_code             error;
    for (const auto & entry : std::filesystem::directory_iterator(folder, error)) paths.push_back(entry.path().string());
    std::sort(paths.begin(), paths.end());
    kvt::SplitMix64 rng(1);
    run("");
    for (const std::string & path : paths) {
        const auto bytes = kvt::read_file(path);
        if (!bytes.ok()) {
            std::fprintf(stderr, "%s\n", bytes.error().message.c_str());
            return 1;
        }
        run(*bytes);
        for (int i = 0; i < mutations; ++i) run(mutate(*bytes, rng));
    }
    std::printf("%zu files, %d mutations of each\n", paths.size(), mutations);
    return paths.empty() ? 1 : 0;
}
