// Compares one run with the reference, token by token.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"

namespace kvt {

// --- Interface ---

// Which terms count: all of them, or llama-perplexity's rule for its base file (log p_ref above -16 only).
enum class KldRule : uint8_t { exact, compat };
const char * kld_rule_name(KldRule rule);  // "exact", "compat"

struct TokenScore {
    double kld     = 0;                // nats
    double nll_ref = 0, nll_cand = 0;  // -ln p(true token)
    double p_ref = 0, p_cand = 0;      // p(true token)
    bool   same_top = false;           // both argmax agree
};
using ChunkScores = std::vector<TokenScore>;

// The reference rows of the slice being compared: logits, or log-probabilities of a base file.
class ReferenceRows {
public:
    ReferenceRows(int n_vocab, KldRule rule) : n_vocab_(static_cast<size_t>(n_vocab)), rule_(rule) {}

    void clear();
    // Errors: a NaN or an infinity, naming chunk and position.
    Status           add(int chunk, int position, std::span<const float> row);
    std::span<float> next_row();  // room to fill, then commit with add(chunk, position, that row)

    // Scores row `index` of this slice for one candidate row. Errors: as add(); a negative divergence beyond rounding.
    Result<TokenScore> compare(size_t index, int chunk, int position, Token truth, std::span<const float> cand) const;
    size_t             size() const { return norms_.size(); }

private:
    struct Norm {
        double log_sum = 0;
        int    top     = 0;
    };
    std::span<const float> row(size_t index) const { return std::span(rows_).subspan(index * n_vocab_, n_vocab_); }

    size_t             n_vocab_;
    KldRule            rule_;
    std::vector<float> rows_;  // [size() + room][n_vocab]
    std::vector<Norm>  norms_;
};

}  // namespace kvt
