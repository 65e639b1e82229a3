// Error of attention over packed caches against float64, beside stock ggml's flash attention over its own cache types.
//
//   build/release/bin/attention_error [n_cells]
// Two causes are told apart. `format` is what storing costs: float64 attention over the values read back, against float64 over
// the originals. `kernel` is what computing costs: the kernel's answer against float64 over the values that it read. Both are rms
// over the outputs, relative to the rms of the exact outputs. Stock types have both too: queries become f16 or q8_0 there, and
// sums of values f16. `ISAs` is the largest distance of any ISA from the scalar reference. Packed rows are not transformed here:
// `rotated` is its format alone.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "kvt/base/aligned_buffer.h"
#include "kvt/base/rng.h"
#include "kvt/kernels/attend.h"
#include "kvt/quant/codec.h"

namespace kvt {
namespace {

constexpr int kDim  = 128;  // head_dim
constexpr int kRows = 4;    // query heads of one KV head

enum class Data : uint8_t { even, outliers };  // outliers: two key channels far from zero, as models without transforms have them

struct Inputs {
    int                n_cells = 0;
    std::vector<float> q, k, v;  // [kRows][kDim], [n_cells][kDim] twice; q times the logit scale
};

Inputs make_inputs(Data data, int n_cells) {
    SplitMix64 rng(1);
    const auto normal = [&rng] {
        return std::sqrt(-2.0 * std::log(1.0 - rng.uniform())) * std::cos(2.0 * 3.14159265358979 * rng.uniform());
    };
    const auto fill = [&normal](std::vector<float> & x, int n, double sigma) {
        x.resize(static_cast<size_t>(n));
        for (float & y : x) y = static_cast<float>(sigma * normal());
    };
    Inputs in;
    in.n_cells = n_cells;
    // Logits get a standard deviation of 3, so that some hundred of 4096 cells matter.
    fill(in.q, kRows * kDim, 3.0 / std::sqrt(double{kDim}));
    fill(in.k, n_cells * kDim, 1.0);
    fill(in.v, n_cells * kDim, 1.0);
    if (data == Data::outliers) {
        for (size_t i = 0; i < in.k.size(); i += kDim) {
            in.k[i + 5] += 20.0f;
            in.k[i + 77] -= 12.0f;
        }
    }
    return in;
}

using Output = std::vector<double>;  // [kRows][kDim]

Output exact(const std::vector<float> & q, const std::vector<float> & k, const std::vector<float> & v) {
    const size_t n = k.size() / kDim;
    Output       out(static_cast<size_t>(kRows) * kDim, 0.0);
    for (size_t r = 0; r < kRows; ++r) {
        std::vector<double> logits(n, 0.0);
        for (size_t c = 0; c < n; ++c) {
            for (size_t d = 0; d < kDim; ++d) logits[c] += double{q[r * kDim + d]} * double{k[c * kDim + d]};
        }
        const double top = *std::max_element(logits.begin(), logits.end());
        double       sum = 0;
        for (size_t c = 0; c < n; ++c) {
            const double w = std::exp(logits[c] - top);
            sum += w;
            for (size_t d = 0; d < kDim; ++d) out[r * kDim + d] += w * double{v[c * kDim + d]};
        }
        for (size_t d = 0; d < kDim; ++d) out[r * kDim + d] /= sum;
    }
    return out;
}

double relative_rms(const Output & a, const Output & b, const Output & scale) {
    double error = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += scale[i] * scale[i];
    }
    return std::sqrt(error / size);
}

// --- Packed caches ---

struct PackedHead {
    TileSpec           spec;
    AlignedBuffer      tiles;
    std::vector<float> decoded;

    PackedHead(const Format & f, Side side, const std::vector<float> & rows)
        : spec(make_tile_spec(f, side, kDim)), decoded(rows.size()) {
        const int n_tokens = tile_tokens(f), n_cells = static_cast<int>(rows.size()) / kDim;
        tiles.reserve(static_cast<size_t>(n_cells / n_tokens) * spec.bytes + 64);
        std::vector<f16_t> block;
        for (int c = 0; c < n_cells; c += n_tokens) {
            uint8_t * tile = tiles.data() + static_cast<size_t>(c / n_tokens) * spec.bytes;
            if (f.store == Store::sealed_block) {
                pack_block(f, side, &rows[static_cast<size_t>(c) * kDim], n_tokens, tile);
            } else {
                for (int t = 0; t < n_tokens; ++t)
                    (void)encode_token(f, side, kDim, t, &rows[static_cast<size_t>(c + t) * kDim], nullptr, tile);
            }
            for (int t = 0; t < n_tokens; ++t) decode_token(f, side, kDim, t, tile, &decoded[static_cast<size_t>(c + t) * kDim]);
        }
    }

    // A sealed format is packed from the 16-bit tiles in which a block waits.
    static void pack_block(const Format & f, Side side, const float * rows, int n_tokens, uint8_t * tile) {
        std::vector<f16_t> waiting(static_cast<size_t>(n_tokens) * kDim);
        for (int t = 0; t < n_tokens; ++t) {
            for (int d = 0; d < kDim; ++d) waiting[f16_place(side, kDim, t, d)] = f32_to_f16(rows[t * kDim + d]);
        }
        const std::vector<uint32_t> all(static_cast<size_t>(n_tokens / kBlockTokens), ~0u);
        (void)encode_tile(f, side, kDim, waiting.data(), all.data(), nullptr, tile);
    }

    HeadTiles view() const {
        HeadTiles tiles_of_head;
        tiles_of_head.packed = &spec;
        tiles_of_head.tiles  = tiles.data();
        return tiles_of_head;
    }
};

Output attend_packed(Isa isa, const Inputs & in, const PackedHead & k, const PackedHead & v) {
    std::vector<float> memory(kRows * (kDim + 2));
    const AttendState  state{memory.data(), memory.data() + kRows, memory.data() + 2 * kRows};
    AlignedBuffer      scratch(attend_scratch_bytes(k.spec, v.spec));
    attend_init(state, kRows, kDim);
    attend(*kernel_table(isa), k.view(), v.view(), AttendRows{kRows, in.q.data(), nullptr, nullptr, nullptr, 0}, 0, in.n_cells,
           state, scratch.data());
    attend_finish(state, kRows, kDim);
    return {state.o, state.o + kRows * kDim};
}

// --- Stock ggml ---

struct StockAnswer {
    Output             output;
    std::vector<float> k, v;  // as read back from the cache
};

StockAnswer attend_stock(const Inputs & in, ggml_type type) {
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> cpu(
        ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr), ggml_backend_free);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(ggml_init({1u << 20, nullptr, true}), ggml_free);
    ggml_tensor *                                             q = ggml_new_tensor_3d(ctx.get(), GGML_TYPE_F32, kDim, 1, kRows);
    ggml_tensor *                                             k = ggml_new_tensor_3d(ctx.get(), type, kDim, in.n_cells, 1);
    ggml_tensor *                                             v = ggml_new_tensor_3d(ctx.get(), type, kDim, in.n_cells, 1);
    ggml_tensor * o = ggml_flash_attn_ext(ctx.get(), q, k, v, nullptr, 1.0f, 0.0f, 0.0f);
    ggml_prec_set_acc(o, GGML_PREC_F32);  // as llama.cpp asks
    ggml_cgraph * graph = ggml_new_graph(ctx.get());
    ggml_build_forward_expand(graph, o);
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors(ctx.get(), cpu.get()), ggml_backend_buffer_free);

    StockAnswer answer;
    const auto  store = [type](ggml_tensor * tensor, const std::vector<float> & rows) {
        std::vector<uint8_t> bytes(ggml_nbytes(tensor));
        ggml_quantize_chunk(type, rows.data(), bytes.data(), 0, static_cast<int64_t>(rows.size()) / kDim, kDim, nullptr);
        ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
        std::vector<float> back(rows.size());
        ggml_get_type_traits(type)->to_float(bytes.data(), back.data(), static_cast<int64_t>(back.size()));
        return back;
    };
    answer.k = store(k, in.k);
    answer.v = store(v, in.v);
    ggml_backend_tensor_set(q, in.q.data(), 0, ggml_nbytes(q));
    ggml_backend_graph_compute(cpu.get(), graph);
    std::vector<float> out(kRows * kDim);
    ggml_backend_tensor_get(o, out.data(), 0, ggml_nbytes(o));
    answer.output.assign(out.begin(), out.end());
    return answer;
}

void print_line(const std::string & name, const Output & truth, const Output & read_back, const Output & got,
                double between_isas) {
    fmt::print("{:<24} {:>10.2e} {:>10.2e} {:>10.2e} {:>10.0e}\n", name, relative_rms(read_back, truth, truth),
               relative_rms(got, read_back, truth), relative_rms(got, truth, truth), between_isas);
}

void report(Data data, int n_cells) {
    const Inputs in    = make_inputs(data, n_cells);
    const Output truth = exact(in.q, in.k, in.v);
    fmt::print("\n{} keys, {} cells, head_dim {}: rms error relative to the exact output\n{:<24} {:>10} {:>10} {:>10} {:>10}\n",
               data == Data::even ? "even" : "outlier", n_cells, kDim, "", "format", "kernel", "together", "ISAs");
    for (const auto & [name, type] :
         {std::pair{"stock ggml f16", GGML_TYPE_F16}, {"stock ggml q8_0", GGML_TYPE_Q8_0}, {"stock ggml q4_0", GGML_TYPE_Q4_0}}) {
        const StockAnswer stock = attend_stock(in, type);
        print_line(name, truth, exact(in.q, stock.k, stock.v), stock.output, 0);
    }
    for (const Mode mode : {Mode::per_token_asym, Mode::kivi, Mode::rotated}) {
        for (const auto & [k_bits, v_bits] : {std::pair{16, 16}, {8, 8}, {6, 6}, {5, 5}, {8, 4}, {4, 4}, {4, 2}, {2, 2}}) {
            const PackedHead k(mode_format(mode, Side::key, k_bits, kDim), Side::key, in.k);
            const PackedHead v(mode_format(mode, Side::value, v_bits, kDim), Side::value, in.v);
            const Output     scalar = attend_packed(Isa::scalar, in, k, v);
            Output           got    = scalar;
            double           worst  = 0;
            for (const Isa isa : available_isas()) {
                got   = attend_packed(isa, in, k, v);
                worst = std::max(worst, relative_rms(got, scalar, truth));
            }
            print_line(fmt::format("{} K{}V{}", mode_name(mode), k_bits, v_bits), truth, exact(in.q, k.decoded, v.decoded), got,
                       worst);
        }
    }
}

}  // namespace
}  // namespace kvt

int main(int argc, char ** argv) {
    const int n_cells = argc > 1 ? std::atoi(argv[1]) : 4096;
    if (n_cells <= 0 || n_cells % 128 != 0) {
        fmt::print(stderr, "attention_error: {}: the number of cells must be a positive multiple of 128\n", argv[1]);
        return 1;
    }
    for (const kvt::Data data : {kvt::Data::even, kvt::Data::outliers}) kvt::report(data, n_cells);
    return 0;
}
