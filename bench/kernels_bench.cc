// Speed of the tile kernels per ISA and format: bytes of packed cache per second.
//
//   build/release/bin/kernels_bench --benchmark_filter=attend/avx512
// Absolute numbers mean little on shared machines: compare lines of one run.
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
    const HeadTiles    k_tiles{&k_spec, nullptr, k.data(), nullptr, nullptr, 0, 0},
        v_tiles{&v_spec, nullptr, v.data(), nullptr, nullptr, 0, 0};
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

// Packing of one token of one KV head.
void encode_bench(benchmark::State & state, Isa isa, Format format, Side side) {
    const TileSpec       spec = make_tile_spec(format, side, kHeadDim);
    std::vector<uint8_t> tile(spec.bytes);
    std::vector<float>   row(kHeadDim);
    std::vector<f16_t>   half(static_cast<size_t>(tile_tokens(format)) * kHeadDim);
    const uint32_t       all[kMaxParts] = {~0u, ~0u, ~0u, ~0u};
    SplitMix64           rng(2);
    for (float & x : row) x = static_cast<float>(rng.uniform() - 0.5);
    for (f16_t & x : half) x = f32_to_f16(static_cast<float>(rng.uniform() - 0.5));
    int t = 0;
    for (auto _ : state) {
        if (format.store == Store::sealed_block) {
            benchmark::DoNotOptimize(kernel_table(isa)->encode_tile(spec, half.data(), all, tile.data()));
        } else {
            benchmark::DoNotOptimize(kernel_table(isa)->encode_token(spec, t++ % kBlockTokens, row.data(), tile.data()));
        }
    }
    const int64_t elements = format.store == Store::sealed_block ? kBlockTokens * kHeadDim : kHeadDim;
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * elements);
}

void register_all() {
    for (const Isa isa : available_isas()) {
        for (const Mode mode : {Mode::kivi, Mode::per_token_asym}) {
            for (const auto & [k, v] : {std::pair{8, 8}, {8, 4}, {4, 4}, {4, 2}, {2, 2}, {16, 16}}) {
                const Format k_format = mode_format(mode, Side::key, k, kHeadDim),
                             v_format = mode_format(mode, Side::value, v, kHeadDim);
                const auto name       = fmt::format("attend/{}/{}/K{}V{}/rows", isa_name(isa), mode_name(mode), k, v);
                benchmark::RegisterBenchmark(name.c_str(), attend_bench, isa, k_format, v_format)->Arg(1)->Arg(4)->Arg(64);
            }
            for (const int bits : {8, 4, 2}) {
                for (const Side side : {Side::key, Side::value}) {
                    const auto name =
                        fmt::format("encode/{}/{}/{}{}", isa_name(isa), mode_name(mode), side == Side::key ? "K" : "V", bits);
                    benchmark::RegisterBenchmark(name.c_str(), encode_bench, isa, mode_format(mode, side, bits, kHeadDim), side);
                }
            }
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
