#include "kvt/tuner/speed/attention_speed.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <thread>

#include <fmt/format.h>

#include "kvt/base/aligned_buffer.h"
#include "kvt/base/rng.h"
#include "kvt/kernels/attend.h"

namespace kvt {

namespace {

// Of every pair, the fastest counts: whatever else runs on the machine only adds to it.
constexpr int    kRepetitions = 7;
constexpr size_t kWorkingSet  = size_t{96} << 20;  // bytes of cache that one repetition reads: no processor here keeps it
constexpr size_t kCacheSlack  = 64;                // kernels may read so far past a tile
constexpr int    kMostCells   = 16384;             // attention takes time in proportion to its cells: longer contexts are scaled

// Attention of one token over `layers` layers, work shared out by KV heads as the plugin does.
class Subject {
public:
    Subject(const SpeedShape & shape, const KernelTable & kernels, PairBits pair, int n_cells, const uint8_t * memory,
            size_t memory_bytes)
        : shape_(shape),
          kernels_(kernels),
          k_(make_tile_spec(mode_format(shape.mode, Side::key, pair.k, shape.model.head_dim_k), Side::key,
                            shape.model.head_dim_k)),
          v_(make_tile_spec(mode_format(shape.mode, Side::value, pair.v, shape.model.head_dim_v), Side::value,
                            shape.model.head_dim_v)),
          memory_(memory),
          n_cells_(n_cells) {
        const auto tiles = [n_cells](const TileSpec & spec) {
            const int tokens = kBlockTokens * spec.n_parts;
            return static_cast<size_t>((n_cells + tokens - 1) / tokens) * spec.bytes;
        };
        k_bytes_             = tiles(k_);
        v_bytes_             = tiles(v_);
        const size_t a_head  = k_bytes_ + v_bytes_;
        const auto   n_heads = static_cast<size_t>(shape.model.n_kv_heads);
        const size_t n_layers =
            std::clamp<size_t>(memory_bytes / (a_head * n_heads), 1, static_cast<size_t>(shape.model.n_layer));
        n_units_ = std::min(n_layers * n_heads, std::max<size_t>(1, memory_bytes / a_head));
    }

    // Seconds of one layer.
    double run(const std::function<double()> & clock) const {
        const double             start = clock();
        std::vector<std::thread> helpers;
        for (int t = 1; t < shape_.n_threads; ++t) helpers.emplace_back([this, t] { work(static_cast<size_t>(t)); });
        work(0);
        for (std::thread & helper : helpers) helper.join();
        return (clock() - start) / static_cast<double>(n_units_) * shape_.model.n_kv_heads;
    }

private:
    void work(size_t thread) const {
        const int          n_rows = std::clamp(shape_.n_q_heads / std::max(1, shape_.model.n_kv_heads), 1, kMaxRows);
        const auto         rows   = static_cast<size_t>(n_rows);
        std::vector<float> q(rows * static_cast<size_t>(k_.stride), 0.01f);
        std::vector<float> state(rows * static_cast<size_t>(v_.stride + 2));
        AlignedBuffer      scratch(attend_scratch_bytes(k_, v_));
        const AttendState  out{state.data(), state.data() + rows, state.data() + 2 * rows};
        for (size_t unit = thread; unit < n_units_; unit += static_cast<size_t>(shape_.n_threads)) {
            HeadTiles k, v;
            k.packed = &k_;
            k.tiles  = memory_ + unit * (k_bytes_ + v_bytes_);
            v.packed = &v_;
            v.tiles  = k.tiles + k_bytes_;
            attend_init(out, n_rows, shape_.model.head_dim_v);
            attend(kernels_, k, v, AttendRows{n_rows, q.data(), nullptr, nullptr, nullptr, 0, nullptr}, 0, n_cells_, out,
                   scratch.data());
            attend_finish(out, n_rows, shape_.model.head_dim_v);
        }
    }

    const SpeedShape &  shape_;
    const KernelTable & kernels_;
    TileSpec            k_, v_;
    const uint8_t *     memory_;
    int                 n_cells_;
    size_t              k_bytes_ = 0, v_bytes_ = 0, n_units_ = 1;
};

// Bytes that are finite halves wherever a format has one.
void fill(uint8_t * memory, size_t bytes) {
    SplitMix64 rng(1);
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        const uint64_t x = rng.next() & 0x3f3f3f3f3f3f3f3fu;
        std::memcpy(memory + i, &x, 8);
    }
}

}  // namespace

Result<AttentionCosts> speed_inputs(const SpeedShape & shape) {
    KVT_TRY(const Isa isa, choose_isa(std::getenv("KVT_FORCE_ISA")));
    AttentionCosts costs;
    costs.mode       = shape.mode;
    costs.isa        = isa_name(isa);
    costs.n_q_heads  = shape.n_q_heads;
    costs.n_kv_heads = shape.model.n_kv_heads;
    costs.head_dim_k = shape.model.head_dim_k;
    costs.head_dim_v = shape.model.head_dim_v;
    costs.n_threads  = shape.n_threads;
    costs.n_cells    = shape.n_cells;
    return costs;
}

Result<AttentionCosts> measure_attention(const SpeedShape & shape, Progress & progress, const std::function<double()> & seconds) {
    KVT_TRY(AttentionCosts costs, speed_inputs(shape));
    KVT_TRY(const Isa isa, choose_isa(std::getenv("KVT_FORCE_ISA")));
    const int  n_cells = std::min(shape.n_cells, kMostCells);
    const auto a_head =
        static_cast<size_t>((n_cells + kMaxParts * kBlockTokens) * (shape.model.head_dim_k + shape.model.head_dim_v)) * 2;
    const size_t  bytes = std::max(kWorkingSet, a_head);
    AlignedBuffer memory;
    try {
        memory.reserve(bytes + kCacheSlack);
    } catch (const std::bad_alloc &) {
        return Error{fmt::format("--speed: no memory for the {} MiB that are measured on", bytes >> 20)};
    }
    fill(memory.data(), bytes + kCacheSlack);

    std::vector<PairBits> pairs{{16, 16}, {8, 8}, {4, 4}, {6, 4}, {4, 2}};  // from the third on to see how sums do
    const size_t          n_together = pairs.size();
    for (const int bits : kCodeWidths) {
        if (bits == 8) continue;
        pairs.push_back({bits, 8});
        pairs.push_back({8, bits});
    }
    std::vector<double> fastest(pairs.size(), std::numeric_limits<double>::infinity());
    progress.begin("attention speed", kRepetitions);
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
        // All pairs in turn, so that a slow moment of the machine hurts all alike.
        for (size_t i = 0; i < pairs.size(); ++i) {
            if (interrupted()) return Error{"interrupted"};
            const Subject subject(shape, *kernel_table(isa), pairs[i], n_cells, memory.data(), bytes);
            fastest[i] = std::min(fastest[i], subject.run(seconds) * shape.n_cells / n_cells);
        }
        progress.done(1);
    }
    progress.end();
    const auto of = [&](PairBits pair) {
        return fastest[static_cast<size_t>(std::find(pairs.begin(), pairs.end(), pair) - pairs.begin())];
    };
    costs.f16         = of({16, 16});
    const double base = of({8, 8}), least = base / 100;  // noise must not make a side free
    for (size_t i = 0; i < kCodeWidths.size(); ++i) {
        costs.k[i] = std::max(of({kCodeWidths[i], 8}) - base / 2, least);
        costs.v[i] = std::max(of({8, kCodeWidths[i]}) - base / 2, least);
    }
    for (size_t i = 2; i < n_together; ++i)
        costs.worst_sum = std::max(costs.worst_sum, std::abs(attention_seconds(costs, {pairs[i]}) / fastest[i] - 1));
    return costs;
}

}  // namespace kvt
