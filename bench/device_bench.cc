// The two ops of a KV cache alone, in the plugin as llama.cpp loads it and in stock ggml beside it: attention of one query in
// each of some sequences, storing the rows of one token and of 512, memory. One JSON object a line.
//
//   build/release/bin/device_bench --cache stock:f16 --cache kivi:K4V4 --depth 2048,16384 --streams 1,8
// A cache is stock:TYPE (CPU backend) or a short form or plan for the plugin. Depth counts tokens of one sequence. Nothing of a
// model is around: rows are random, and as many layers as asked for are run one after the other, so that long caches come from
// memory.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "kvt/base/stopwatch.h"
#include "kvt/plugin_api/plugin_api.h"
#include "support/device_ops.h"

namespace {

using kvt::testing::DeviceCache;
using kvt::testing::DeviceGraph;
using kvt::testing::DeviceShape;

constexpr int64_t kFillRows = 512;

struct Options {
    std::string              plugin;
    std::vector<std::string> caches;
    std::vector<int64_t>     depths{16384};
    std::vector<int>         streams{1};
    int                      layers = 4, heads = 32, kv_heads = 8, head_dim = 128, threads = 2, reps = 5;
};

// Bytes of this process in memory.
double resident() {
    std::ifstream file("/proc/self/statm");
    int64_t       pages = 0, pages_resident = 0;
    file >> pages >> pages_resident;
    return static_cast<double>(pages_resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Seconds of every repetition, after one that is not counted.
std::vector<double> times(const DeviceCache & cache, const DeviceGraph & graph, int reps) {
    std::vector<double> out;
    for (int i = -1; i < reps; ++i) {
        const kvt::Stopwatch watch;
        graph.run(cache.backend());
        if (i >= 0) out.push_back(watch.seconds());
    }
    return out;
}

std::string list_text(const std::vector<double> & x) {
    std::string text;
    for (const double y : x) text += fmt::format("{}{:.7g}", text.empty() ? "" : ", ", y);
    return '[' + text + ']';
}

// The device of a cache, ready to make it.
ggml_backend_dev_t device_for(const std::string & cache, ggml_backend_reg_t plugin, ggml_type & type) {
    if (!cache.starts_with("stock:")) {
        char       error[512] = {};
        const auto set_plan   = reinterpret_cast<kvt_set_plan_fn>(ggml_backend_reg_get_proc_address(plugin, "kvt_set_plan"));
        if (set_plan(cache.c_str(), nullptr, error, sizeof error) != 0) throw std::runtime_error(error);
        return ggml_backend_reg_dev_get(plugin, 0);
    }
    for (int t = 0; t < GGML_TYPE_COUNT; ++t) {
        const char * name = ggml_type_name(static_cast<ggml_type>(t));
        if (name != nullptr && cache.substr(6) == name) {
            type = static_cast<ggml_type>(t);
            return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
        }
    }
    throw std::runtime_error("unknown ggml type");
}

void measure(const Options & o, const std::string & name, int64_t depth, int streams, ggml_backend_reg_t plugin) {
    DeviceShape       shape{o.layers, o.heads, o.kv_heads, o.head_dim, depth, streams};
    const auto        device = device_for(name, plugin, shape.type);
    const double      before = resident();
    DeviceCache       cache(device, shape, o.threads);
    const DeviceGraph attention = cache.attention_graph(depth);  // first: it tells the device head_dim
    const DeviceGraph many      = cache.write_graph(std::min(kFillRows, depth));
    for (int64_t first = 0; first < depth; first += kFillRows) {
        cache.aim(std::min(first, depth - std::min(kFillRows, depth)));
        many.run(cache.backend());
    }
    const auto attention_s = times(cache, attention, o.reps);
    // What the cache and its ops take: what this program allocates for the graphs is none of it.
    const double grown = resident() - before - static_cast<double>(attention.bytes() + many.bytes());
    cache.aim(0);
    const auto          many_s = times(cache, many, o.reps);
    const DeviceGraph   one    = cache.write_graph(1);
    std::vector<double> one_s;
    // A run of cells, because sealed formats do their work once a block.
    for (int64_t at = 0; at < 128; ++at) {
        cache.aim(at);
        const kvt::Stopwatch watch;
        one.run(cache.backend());
        one_s.push_back(watch.seconds());
    }
    double one_sum = 0;
    for (const double s : one_s) one_sum += s;
    fmt::print(
        R"({{"cache": "{}", "depth": {}, "streams": {}, "layers": {}, "bytes": {}, "resident": {:.0f}, "attention_s": {}, "write_rows": {}, "write_s": {}, "write_one_s": {:.7g}}})"
        "\n",
        name, depth, streams, o.layers, cache.bytes(), grown, list_text(attention_s), std::min(kFillRows, depth) * streams,
        list_text(many_s), one_sum / static_cast<double>(one_s.size()));
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char ** argv) {
    Options  o;
    CLI::App app("Times the ops of a KV cache alone, beside stock ggml's");
    app.add_option("--plugin", o.plugin, "libggml-kvtuner.so")->required();
    app.add_option("--cache", o.caches, "stock:f16, kivi:K4V4, per-token:K8V8:hd128, a plan file, ...")
        ->required()
        ->allow_extra_args(false);
    app.add_option("--depth", o.depths)->delimiter(',')->capture_default_str();
    app.add_option("--streams", o.streams, "Sequences")->delimiter(',')->capture_default_str();
    app.add_option("--layers", o.layers)->check(CLI::Range(1, 1000))->capture_default_str();
    app.add_option("--heads", o.heads)->capture_default_str();
    app.add_option("--kv-heads", o.kv_heads)->capture_default_str();
    app.add_option("--head-dim", o.head_dim)->capture_default_str();
    app.add_option("--threads", o.threads)->capture_default_str();
    app.add_option("--reps", o.reps)->check(CLI::Range(1, 1000))->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    const ggml_backend_reg_t plugin = ggml_backend_load(o.plugin.c_str());
    if (plugin == nullptr) {
        std::fprintf(stderr, "device_bench: error: cannot load %s\n", o.plugin.c_str());
        return 1;
    }
    for (const std::string & cache : o.caches) {
        for (const int64_t depth : o.depths) {
            for (const int streams : o.streams) {
                try {
                    measure(o, cache, depth, streams, plugin);
                } catch (const std::exception & e) {
                    std::fprintf(stderr, "device_bench: error: %s at depth %ld: %s\n", cache.c_str(), static_cast<long>(depth),
                                 e.what());
                    return 1;
                }
            }
        }
    }
    return 0;
}
