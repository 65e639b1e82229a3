#include "kvt/cache/sink_table.h"

#include <algorithm>

namespace kvt {

int SinkTable::slot_of(int64_t cell) const {
    const auto found = std::find(cells_.begin(), cells_.end(), static_cast<int32_t>(cell));
    return found == cells_.end() ? -1 : static_cast<int>(found - cells_.begin());
}

int SinkTable::take(int64_t cell) {
    int slot = slot_of(cell);
    if (slot < 0) slot = slot_of(-1);
    if (slot < 0) slot = static_cast<int>(std::min_element(used_.begin(), used_.end()) - used_.begin());
    cells_[static_cast<size_t>(slot)] = static_cast<int32_t>(cell);
    used_[static_cast<size_t>(slot)]  = ++clock_;
    return slot;
}

void SinkTable::touch(const f16_t * mask, int64_t n_cells) {
    ++clock_;
    for (size_t s = 0; s < cells_.size(); ++s) {
        if (cells_[s] >= 0 && cells_[s] < n_cells && mask[cells_[s]] != kF16MinusInfinity) used_[s] = clock_;
    }
}

void SinkTable::forget(int64_t cell) {
    const int slot = slot_of(cell);
    if (slot >= 0) cells_[static_cast<size_t>(slot)] = -1;
}

void SinkTable::clear() { std::fill(cells_.begin(), cells_.end(), -1); }

}  // namespace kvt
