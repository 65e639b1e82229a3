// Rows of saved states, of any bytes: restored or told to be foreign, and what was restored is saved and restored to the same
// bytes.
#include <algorithm>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "kvt/base/aligned_buffer.h"
#include "kvt/cache/saved_row.h"
#include "kvt/cache/tensor_cache.h"

namespace {

constexpr int      kHeads = 2, kHeadDim = 64;
constexpr uint64_t kSignature = 0x6b76747369676e61;

void check(kvt::Mode mode, kvt::Side side, int bits, int n_cells, const uint8_t * data, size_t size) {
    const kvt::Format  format = kvt::mode_format(mode, side, bits, kHeadDim);
    const kvt::Kept    kept{mode == kvt::Mode::rotated ? 1 : 0, 0};
    kvt::AlignedBuffer memory;
    const auto         bytes = kvt::tensor_bytes(format, side, kHeads, kHeadDim, static_cast<uint64_t>(n_cells), 1, kept);
    memory.reserve(bytes + 64);
    std::fill_n(memory.data(), bytes + 64, uint8_t{0});
    kvt::TensorCache     cache({format, side, kHeads, kHeadDim, n_cells, 1, kept, nullptr}, kvt::kKernelsScalar, memory.data());
    constexpr size_t     kRow = size_t{kHeads} * kHeadDim * 2;
    std::vector<uint8_t> row(kRow), one(kRow), two(kRow);
    for (size_t at = 0; at < size; at += kRow) {
        row.assign(kRow, 0);
        std::copy_n(data + at, std::min(kRow, size - at), row.begin());
        if ((data[at] & 1) != 0) kvt::put_header(kSignature, row.data());  // luck alone does not find the mark
        const auto cell = static_cast<int64_t>(at / kRow) % n_cells;
        if (cache.load_row(cell, kSignature, row) != kvt::Loaded::ok) continue;
        cache.save_row(cell, kSignature, one);
        if (!kvt::has_header(kSignature, one.data())) continue;  // plain rows are rounded again
        kvt::fuzz::expect(cache.load_row(cell, kSignature, one) != kvt::Loaded::foreign, "an own row is taken back");
        cache.save_row(cell, kSignature, two);
        kvt::fuzz::expect(one == two, "a packed row comes back bit for bit");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    if (size < 2) return 0;
    constexpr kvt::Mode kModes[] = {kvt::Mode::kivi, kvt::Mode::per_token_asym, kvt::Mode::rotated};
    check(kModes[data[0] % 3], (data[0] & 128) != 0 ? kvt::Side::key : kvt::Side::value,
          kvt::kCodeWidths[data[1] % kvt::kCodeWidths.size()], 64, data + 2, std::min<size_t>(size - 2, 8192));
    return 0;
}
