#include "kvt/cache/block_table.h"

#include <algorithm>

namespace kvt {

namespace {

bool holds(const TokenMask & mask, int token) { return (mask[static_cast<size_t>(token / 32)] >> (token % 32) & 1u) != 0; }
void add(TokenMask & mask, int token) { mask[static_cast<size_t>(token / 32)] |= 1u << (token % 32); }

// The tokens of `mask` before `token`.
TokenMask before(const TokenMask & mask, int token) {
    TokenMask kept{};
    for (int t = 0; t < token; ++t) {
        if (holds(mask, t)) add(kept, t);
    }
    return kept;
}

}  // namespace

BlockTable::BlockTable(int64_t n_blocks, int block_tokens, int n_slots, Sealing sealing)
    : valid_(static_cast<size_t>(n_blocks * block_tokens / kBlockTokens), 0u),
      open_blocks_(static_cast<size_t>(n_slots), -1),
      filled_(static_cast<size_t>(n_slots), TokenMask{}),
      last_write_(static_cast<size_t>(n_slots), 0u),
      block_tokens_(block_tokens),
      sealing_(sealing) {}

void BlockTable::clear() {
    std::fill(valid_.begin(), valid_.end(), 0u);
    std::fill(open_blocks_.begin(), open_blocks_.end(), -1);
}

int BlockTable::slot_of(int64_t block) const {
    for (size_t s = 0; s < open_blocks_.size(); ++s) {
        if (open_blocks_[s] == block) return static_cast<int>(s);
    }
    return -1;
}

void BlockTable::seal(int slot, std::vector<BlockStep> & steps) {
    const size_t  s     = static_cast<size_t>(slot);
    const int64_t block = open_blocks_[s];
    steps.push_back({BlockStep::Kind::seal, slot, 0, block, 0, valid(block)});
    open_blocks_[s] = -1;
}

int BlockTable::take_slot(int64_t block, std::vector<BlockStep> & steps) {
    int slot = slot_of(-1);
    if (slot < 0) {
        slot = static_cast<int>(std::min_element(last_write_.begin(), last_write_.end()) - last_write_.begin());
        seal(slot, steps);
    }
    const bool sealed_before = valid(block) != TokenMask{};
    steps.push_back({sealed_before ? BlockStep::Kind::reopen : BlockStep::Kind::open, slot, 0, block, 0, {}});
    open_blocks_[static_cast<size_t>(slot)] = static_cast<int32_t>(block);
    return slot;
}

void BlockTable::write(int64_t cell, int64_t row, std::vector<BlockStep> & steps) {
    const int64_t block = cell / block_tokens_;
    const int     token = static_cast<int>(cell % block_tokens_);
    int           slot  = slot_of(block);
    if (slot < 0) {
        slot                               = take_slot(block, steps);
        filled_[static_cast<size_t>(slot)] = before(valid(block), token);
    }
    const size_t s = static_cast<size_t>(slot);
    steps.push_back({BlockStep::Kind::write, slot, token, block, row, {}});
    add(filled_[s], token);
    valid_[static_cast<size_t>(block) * words() + static_cast<size_t>(token / 32)] |= 1u << (token % 32);
    last_write_[s] = ++clock_;
    if (sealing_ == Sealing::when_needed) return;
    bool full = true;
    for (size_t w = 0; w < words(); ++w) full = full && filled_[s][w] == 0xffffffffu;
    if (full) seal(slot, steps);
}

}  // namespace kvt
