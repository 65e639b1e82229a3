// Encoders of every ISA against the scalar reference, bit by bit, on rows of any 32-bit floats.
#include <algorithm>
#include <cstring>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "kvt/kernels/kernel_table.h"

namespace {

constexpr int kHeadDims[] = {32, 64, 80, 96, 112, 128};

struct Tile {
    std::vector<uint8_t> bytes;
    kvt::Encoded         said;
};

Tile encode(const kvt::KernelTable & kernels, const kvt::TileSpec & spec, const std::vector<float> & rows) {
    Tile tile{std::vector<uint8_t>(spec.bytes + 64), kvt::Encoded::ok};
    if (spec.format.store == kvt::Store::sealed_block) {
        std::vector<kvt::f16_t> plain(static_cast<size_t>(spec.n_parts * kvt::kBlockTokens * spec.head_dim) + 32);
        for (int t = 0; t < kvt::kBlockTokens; ++t) {
            for (int d = 0; d < spec.head_dim; ++d) {
                plain[kvt::f16_place(spec.side, spec.head_dim, t, d)] =
                    kvt::f32_to_f16(rows[static_cast<size_t>(t * spec.head_dim + d)]);
            }
        }
        const uint32_t valid[kvt::kMaxParts] = {~0u, 0, 0, 0};
        tile.said                            = kernels.encode_tile(spec, plain.data(), valid, nullptr, tile.bytes.data());
        return tile;
    }
    std::vector<kvt::TokenPlace> places;
    for (int t = 0; t < kvt::kBlockTokens; ++t) places.push_back({tile.bytes.data(), t});
    tile.said = kernels.encode_tokens(spec, nullptr, kvt::kBlockTokens, rows.data(), spec.head_dim, places.data());
    return tile;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    if (size < 8) return 0;
    constexpr kvt::Mode kModes[] = {kvt::Mode::kivi, kvt::Mode::per_token_asym, kvt::Mode::rotated};
    const int           head_dim = kHeadDims[data[2] % 6];
    const kvt::Side     side     = (data[0] & 128) != 0 ? kvt::Side::key : kvt::Side::value;
    const kvt::Format   format =
        kvt::mode_format(kModes[data[0] % 3], side, kvt::kCodeWidths[data[1] % kvt::kCodeWidths.size()], head_dim);
    if (!kvt::check_format(format, side, head_dim).ok()) return 0;
    const kvt::TileSpec spec = kvt::make_tile_spec(format, side, head_dim);
    std::vector<float>  rows(static_cast<size_t>(kvt::kBlockTokens * head_dim), 0.0f);
    std::memcpy(rows.data(), data + 4, std::min(size - 4, rows.size() * sizeof(float)));
    const Tile expected = encode(kvt::kKernelsScalar, spec, rows);
    for (const kvt::Isa isa : kvt::available_isas()) {
        const Tile got = encode(*kvt::kernel_table(isa), spec, rows);
        kvt::fuzz::expect(got.said == expected.said, "every ISA says the same of the rows");
        // The bytes of rows that cannot be stored are unspecified beyond decoding to NaN.
        if (expected.said == kvt::Encoded::ok) kvt::fuzz::expect(got.bytes == expected.bytes, "every ISA stores the same bytes");
    }
    return 0;
}
