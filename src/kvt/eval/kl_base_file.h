// Reads the base file of llama-perplexity --kl-divergence-base: tokens and uint16 log-probabilities of a reference run.
//
// Layout, little endian: "_logits_"; uint32 n_ctx; int32 n_vocab; int32 n_chunk; int32 tokens[n_chunk * n_ctx]; per chunk
// n_ctx - 1 - n_ctx/2 records of nv uint16, nv = 2 * ((n_vocab + 1) / 2) + 4: floats scale and minimum, then n_vocab values q
// padded to an even count; log p = scale * q + minimum. Source: llama.cpp v0.5.0 tools/perplexity.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"

namespace kvt {

// --- Interface ---

class KlBaseFile {
public:
    // Errors: cannot open, not such a file, a size that does not fit its header.
    static Result<KlBaseFile> open(const std::string & path);

    const std::string &    path() const { return path_; }
    int                    n_ctx() const { return n_ctx_; }
    int                    n_vocab() const { return n_vocab_; }
    int                    n_chunks() const { return n_chunks_; }
    std::span<const Token> tokens() const { return tokens_; }  // [n_chunks * n_ctx]

    // Log-probabilities of one scored position: record 0 is position n_ctx / 2. out: [n_vocab].
    Status read_row(int chunk, int record, std::span<float> out);

private:
    std::string           path_;
    std::ifstream         file_;
    int                   n_ctx_ = 0, n_vocab_ = 0, n_chunks_ = 0;
    std::vector<Token>    tokens_;
    std::vector<uint16_t> record_;
};

}  // namespace kvt
