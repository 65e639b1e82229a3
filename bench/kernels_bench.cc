// Speed of the kernels per ISA and format: bytes of packed cache per second for attention, elements per second for packing and
// rotation.
//
//   build/release/bin/kernels_bench --benchmark_filter=attend/avx512
// Absolute numbers mean little on shared machines: compare lines of one run.
#include <algorithm>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "kvt/base/aligned_buffer.h"
#include "kvt/base/rng.h"
#include "kvt/kernels/attend.h"

namespace kvt {
namespace {

constexpr int kHeadDim = 128;
constexpr int kCells   = 4096;

std::vector<uint8_t> random_tiles(const TileSpec & spec) {
    std::vector<uint8_t> tiles(static_cast<size_t>(kCells / kBlockTokens) * spec.bytes + 64);
    SplitMix64           rng(1);
    for (uint8_t & b : tiles) b = static_cast<uint8_t>(rng.next() & 0x3f);  // halves stay finite
    return tiles;
}

// Attention of n_rows query rows over 4096 cells of one KV head.
void attend_bench(benchmark::State & state, Isa isa, Format k_format, Format v_format) {
    const int      n_rows        = static_cast<int>(state.range(0));
    const TileSpec k_spec        = make_tile_spec(k_format, Side::key, kHeadDim),
                   v_spec        = make_tile_spec(v_format, Side::value, kHeadDim);
    const std::vector<uint8_t> k = random_tiles(k_spec), v = random_tiles(v_spec);
    std::vector<float> q(static_cast<size_t>(n_rows * kHeadDim), 0.01f), memory(static_cast<size_t>(n_rows * (kHeadDim + 2)));
    AlignedBuffer      scratch(attend_scratch_bytes(k_spec, v_spec));
    HeadTiles          k_tiles, v_tiles;
    k_tiles.packed = &k_spec;
    k_tiles.tiles  = k.data();
    v_tiles.packed = &v_spec;
    v_tiles.tiles  = v.data();
    const AttendState out{memory.data(), memory.data() + n_rows, memory.data() + 2 * n_rows};
    for (auto _ : state) {
        attend_init(out, n_rows, kHeadDim);
        attend(*kernel_table(isa), k_tiles, v_tiles, AttendRows{n_rows, q.data(), nullptr, nullptr, nullptr, 0}, 0, kCells, out,
               scratch.data());
        benchmark::DoNotOptimize(memory.data());
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * (kCells / kBlockTokens) *
                            static_cast<int64_t>(k_spec.bytes + v_spec.bytes));
}

// Random numbers in -0.5 .. 0.5.
std::vector<float> random_floats(size_t n) {
    SplitMix64         rng(2);
    std::vector<float> x(n);
    for (float & y : x) y = static_cast<float>(rng.uniform() - 0.5);
    return x;
}

// Packing of n_rows tokens of one KV head, or of one block of a sealed format. With feedback, kernels take several rows at once.
void encode_bench(benchmark::State & state, Isa isa, Format format, Side side, bool feedback) {
    const int                n_rows = static_cast<int>(state.range(0));
    const TileSpec           spec   = make_tile_spec(format, side, kHeadDim);
    const std::vector<float> rows   = random_floats(static_cast<size_t>(std::max(n_rows, tile_tokens(format))) * kHeadDim);
    std::vector<f16_t>       matrix;
    std::vector<uint8_t>     tile(spec.bytes);
    std::vector<f16_t>       half;
    std::vector<TokenPlace>  places;
    const uint32_t           all[kMaxParts] = {~0u, ~0u, ~0u, ~0u};
    for (const float x : rows) half.push_back(f32_to_f16(x));
    for (int t = 0; t < n_rows; ++t) places.push_back({tile.data(), t % kBlockTokens});
    for (const float x : random_floats(kHeadDim * kHeadDim)) {
        const size_t i = matrix.size() / kHeadDim, j = matrix.size() % kHeadDim;
        matrix.push_back(f32_to_f16(j < i ? 0.1f * x : 0.0f));
    }
    const f16_t * with = feedback ? matrix.data() : nullptr;
    for (auto _ : state) {
        if (format.store == Store::sealed_block) {
            benchmark::DoNotOptimize(kernel_table(isa)->encode_tile(spec, half.data(), all, with, tile.data()));
        } else {
            benchmark::DoNotOptimize(kernel_table(isa)->encode_tokens(spec, with, n_rows, rows.data(), kHeadDim, places.data()));
        }
    }
    const int64_t elements = (format.store == Store::sealed_block ? tile_tokens(format) : n_rows) * kHeadDim;
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * elements);
}

// Rotation of n_rows rows of one KV head.
void rotate_bench(benchmark::State & state, Isa isa, bool dense) {
    const int          n_rows = static_cast<int>(state.range(0));
    std::vector<f16_t> columns;
    for (const float x : random_floats(kHeadDim * kHeadDim)) columns.push_back(f32_to_f16(x));
    const std::vector<float> rows = random_floats(static_cast<size_t>(n_rows) * kHeadDim);
    const RotationSpec       spec{dense ? columns.data() : nullptr, kHeadDim, kHeadDim, kHeadDim};
    std::vector<float>       x(rows.size());
    for (auto _ : state) {
        std::copy(rows.begin(), rows.end(), x.begin());  // the matrix is not orthogonal: rows would overflow in the end
        kernel_table(isa)->rotate(spec, n_rows, x.data());
        benchmark::DoNotOptimize(x.data());
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * n_rows * kHeadDim);
}

void register_all() {
    for (const Isa isa : available_isas()) {
        for (const Mode mode : {Mode::kivi, Mode::per_token_asym, Mode::rotated}) {
            for (const auto & [k, v] : {std::pair{8, 8}, {8, 4}, {4, 4}, {4, 2}, {2, 2}, {16, 16}}) {
                const Format k_format = mode_format(mode, Side::key, k, kHeadDim),
                             v_format = mode_format(mode, Side::value, v, kHeadDim);
                const auto name       = fmt::format("attend/{}/{}/K{}V{}/rows", isa_name(isa), mode_name(mode), k, v);
                benchmark::RegisterBenchmark(name.c_str(), attend_bench, isa, k_format, v_format)->Arg(1)->Arg(4)->Arg(64);
            }
            for (const int bits : {8, 4, 2}) {
                for (const Side side : {Side::key, Side::value}) {
                    for (const bool feedback : {false, true}) {
                        const Format format = mode_format(mode, side, bits, kHeadDim);
                        const auto   name   = fmt::format("encode{}/{}/{}/{}{}/rows", feedback ? "_feedback" : "", isa_name(isa),
                                                          mode_name(mode), side == Side::key ? "K" : "V", bits);
                        auto * bench = benchmark::RegisterBenchmark(name.c_str(), encode_bench, isa, format, side, feedback);
                        if (format.store == Store::sealed_block) {
                            bench->Arg(kBlockTokens);
                        } else {
                            bench->Arg(1)->Arg(32);
                        }
                    }
                }
            }
        }
        for (const bool dense : {false, true}) {
            const auto name = fmt::format("rotate/{}/{}/rows", isa_name(isa), dense ? "dense" : "hadamard");
            benchmark::RegisterBenchmark(name.c_str(), rotate_bench, isa, dense)->Arg(1)->Arg(8)->Arg(64);
        }
    }
}

}  // namespace
}  // namespace kvt

int main(int argc, char ** argv) {
    kvt::register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
