// Which cells of one stream are sink tokens, kept at 16 bits beside the packed tiles. Queries put much weight on the first
// tokens of a sequence, whose keys and values are unlike all others: quantizing them costs more than all the rest.
//
// A fixed number of slots; when they are taken, the slot filled longest ago is given up (its cell is then read from its tile).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvt {

// --- Interface ---

class SinkTable {
public:
    explicit SinkTable(int n_slots) : cells_(static_cast<size_t>(n_slots), -1), filled_(static_cast<size_t>(n_slots), 0u) {}

    // Slot of the cell, -1 if it is not a sink.
    int slot_of(int64_t cell) const;
    // A slot for the cell: its own, a free one, or the one filled longest ago.
    int take(int64_t cell);
    // The cell was overwritten: it is no sink any more.
    void forget(int64_t cell);
    void clear();

    // Cell of each slot, -1 if free.   [n_slots]
    const int32_t * cells() const { return cells_.data(); }
    int             n_slots() const { return static_cast<int>(cells_.size()); }

private:
    std::vector<int32_t>  cells_;
    std::vector<uint64_t> filled_;  // when each slot was filled
    uint64_t              clock_ = 0;
};

}  // namespace kvt
