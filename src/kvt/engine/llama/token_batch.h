// The tokens of one call of llama.cpp, with the arrays that a llama_batch points into.
#pragma once

#include <cstdint>
#include <vector>

#include <llama.h>

namespace kvt {

// --- Interface ---

class TokenBatch {
public:
    void clear() {
        tokens_.clear();
        positions_.clear();
        counts_.clear();
        sequences_.clear();
        logits_.clear();
    }

    void add(llama_token token, llama_pos position, llama_seq_id sequence, bool logits) {
        tokens_.push_back(token);
        positions_.push_back(position);
        counts_.push_back(1);
        sequences_.push_back(sequence);
        logits_.push_back(logits ? 1 : 0);
    }

    size_t       size() const { return tokens_.size(); }
    llama_pos    first_position() const { return positions_.front(); }
    llama_seq_id first_sequence() const { return sequences_.front(); }

    // Valid until the batch changes.
    llama_batch view() {
        pointers_.clear();
        for (llama_seq_id & sequence : sequences_) pointers_.push_back(&sequence);
        return {static_cast<int32_t>(tokens_.size()),
                tokens_.data(),
                nullptr,
                positions_.data(),
                counts_.data(),
                pointers_.data(),
                logits_.data()};
    }

private:
    std::vector<llama_token>    tokens_;
    std::vector<llama_pos>      positions_;
    std::vector<int32_t>        counts_;  // of sequences of each token: 1
    std::vector<llama_seq_id>   sequences_;
    std::vector<llama_seq_id *> pointers_;
    std::vector<int8_t>         logits_;
};

}  // namespace kvt
