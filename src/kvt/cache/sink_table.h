// Which cells of one stream are sink tokens, kept at 16 bits beside the packed tiles. Queries put much weight on the first
// tokens of a sequence, whose keys and values are unlike all others: quantizing them costs more than all the rest.
//
// A fixed number of slots; when they are taken, the slot filled or seen longest ago is given up (its cell is then read from its
// tile): cells of sequences that ended are never seen again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvt/base/fp16.h"

namespace kvt {

// --- Interface ---

class SinkTable {
public:
    explicit SinkTable(int n_slots) : cells_(static_cast<size_t>(n_slots), -1), used_(static_cast<size_t>(n_slots), 0u) {}

    // Slot of the cell, -1 if it is not a sink.
    int slot_of(int64_t cell) const;
    // A slot for the cell: its own, a free one, or the one filled or seen longest ago.
    int take(int64_t cell);
    // A query with this mask [n_cells] sees its cells.
    void touch(const f16_t * mask, int64_t n_cells);
    // The cell was overwritten: it is no sink any more.
    void forget(int64_t cell);
    void clear();

    // Cell of each slot, -1 if free.   [n_slots]
    const int32_t * cells() const { return cells_.data(); }
    int             n_slots() const { return static_cast<int>(cells_.size()); }

private:
    std::vector<int32_t>  cells_;
    std::vector<uint64_t> used_;  // when each slot was filled or seen
    uint64_t              clock_ = 0;
};

}  // namespace kvt
