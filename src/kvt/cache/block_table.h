// Which blocks of one stream are empty, open at 16 bits, or sealed; turns writes into steps. A block is the cells of one tile:
// 32, or more if a per-channel group spans more.
//
// Formats with sealed blocks only. Cells may be written in any order and overwritten. A block opens at its first write,
// is sealed once when all its cells are written, and reopens (decoded to 16 bits) when a cell of a sealed block is
// overwritten: cells below the written one count as kept, cells from it on are awaited again, which is what a sequence that
// was cut and continues needs. When all open slots are taken, the least recently written block is sealed as it is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvt/kernels/kernel_table.h"
#include "kvt/quant/tile.h"

namespace kvt {

// --- Interface ---

// Bit t % 32 of word t / 32 stands for token t of a block.
using TokenMask = std::array<uint32_t, kMaxParts>;

struct BlockStep {
    enum class Kind : uint8_t {
        open,    // slot starts empty (zeros)
        reopen,  // slot starts as the decoded tile of `block`
        write,   // row `row` of the batch goes to token `token` of the slot
        seal,    // quantize the slot into the tile of `block`; `valid` marks the tokens that hold data, 32 a word
    };
    Kind      kind  = Kind::write;
    int       slot  = 0;
    int       token = 0;
    int64_t   block = 0;
    int64_t   row   = 0;
    TokenMask valid{};
};

// When a full block is sealed: at once, or not before its slot is needed, so that the newest tokens stay at 16 bits.
enum class Sealing : uint8_t { when_full, when_needed };

class BlockTable {
public:
    BlockTable(int64_t n_blocks, int block_tokens, int n_slots, Sealing sealing);

    // Appends the steps for one written cell; they must be executed in order for every KV head.
    void write(int64_t cell, int64_t row, std::vector<BlockStep> & steps);
    void clear();

    // Block held by each slot, -1 if free.   [n_slots]
    const int32_t * open_blocks() const { return open_blocks_.data(); }
    int             n_slots() const { return static_cast<int>(open_blocks_.size()); }
    int             slot_of(int64_t block) const;  // -1 if not open
    // Tokens of the block that hold data.
    TokenMask valid(int64_t block) const {
        TokenMask mask{};
        for (size_t w = 0; w < words(); ++w) mask[w] = valid_[static_cast<size_t>(block) * words() + w];
        return mask;
    }

private:
    int  take_slot(int64_t block, std::vector<BlockStep> & steps);
    void seal(int slot, std::vector<BlockStep> & steps);

    size_t words() const { return static_cast<size_t>(block_tokens_) / kBlockTokens; }  // of a block

    std::vector<uint32_t>  valid_;  // [n_blocks][words()] tokens that hold data: a block's share of a TokenMask, for long caches
    std::vector<int32_t>   open_blocks_;  // [n_slots]
    std::vector<TokenMask> filled_;       // [n_slots] tokens written since opening, or kept
    std::vector<uint64_t>  last_write_;   // [n_slots]
    int                    block_tokens_;
    Sealing                sealing_;
    uint64_t               clock_ = 0;
};

}  // namespace kvt
