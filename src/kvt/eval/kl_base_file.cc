#include "kvt/eval/kl_base_file.h"

#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

namespace {

constexpr uint64_t kHeaderBytes = 8 + 3 * 4;
constexpr int      kMaxContext  = 1 << 24;
constexpr int      kMaxVocab    = 1 << 24;

uint64_t record_values(int n_vocab) { return 2 * ((static_cast<uint64_t>(n_vocab) + 1) / 2) + 4; }

}  // namespace

Result<KlBaseFile> KlBaseFile::open(const std::string & path) {
    KlBaseFile base;
    base.path_ = path;
    std::error_code error;
    const auto      size = std::filesystem::file_size(path, error);
    if (error) return Error{fmt::format("cannot open base file {}: {}", path, error.message())};
    base.file_.open(path, std::ios::binary);
    char    magic[8] = {};
    int32_t n[3]     = {};
    base.file_.read(magic, sizeof(magic));
    base.file_.read(reinterpret_cast<char *>(n), sizeof(n));
    if (!base.file_ || std::memcmp(magic, "_logits_", 8) != 0) {
        return Error{fmt::format("{} is not a base file of llama-perplexity (it does not start with '_logits_')", path)};
    }
    if (n[0] < 4 || n[0] > kMaxContext || n[1] < 1 || n[1] > kMaxVocab || n[2] < 1 || n[2] > (1 << 24)) {
        return Error{fmt::format("base file {}: bad header (n_ctx {}, n_vocab {}, chunks {})", path, n[0], n[1], n[2])};
    }
    base.n_ctx_ = n[0], base.n_vocab_ = n[1], base.n_chunks_ = n[2];
    const auto n_tokens = static_cast<uint64_t>(base.n_ctx_) * static_cast<uint64_t>(base.n_chunks_);
    const auto records  = static_cast<uint64_t>(base.n_chunks_) * static_cast<uint64_t>(base.n_ctx_ - 1 - base.n_ctx_ / 2);
    // Counts that pass the limits above still multiply to more than 64 bits.
    const uint64_t row = record_values(base.n_vocab_) * 2;
    if (records > size / row || size != kHeaderBytes + 4 * n_tokens + records * row) {
        return Error{fmt::format("base file {} has {} bytes, its header asks for {} chunks of {} tokens: truncated or damaged",
                                 path, size, base.n_chunks_, base.n_ctx_)};
    }
    base.tokens_.resize(n_tokens);
    base.file_.read(reinterpret_cast<char *>(base.tokens_.data()), static_cast<std::streamsize>(4 * n_tokens));
    if (!base.file_) return Error{fmt::format("cannot read base file {}", path)};
    for (const Token t : base.tokens_) {
        if (t < 0 || t >= base.n_vocab_)
            return Error{fmt::format("base file {}: token {} is not in its vocabulary of {}", path, t, base.n_vocab_)};
    }
    base.record_.resize(record_values(base.n_vocab_));
    return base;
}

Status KlBaseFile::read_row(int chunk, int record, std::span<float> out) {
    const auto per_chunk = static_cast<uint64_t>(n_ctx_ - 1 - n_ctx_ / 2);
    const auto index     = static_cast<uint64_t>(chunk) * per_chunk + static_cast<uint64_t>(record);
    const auto bytes     = record_.size() * 2;
    file_.seekg(static_cast<std::streamoff>(kHeaderBytes + 4 * tokens_.size() + index * bytes));
    file_.read(reinterpret_cast<char *>(record_.data()), static_cast<std::streamsize>(bytes));
    if (!file_) return Error{fmt::format("cannot read chunk {} of base file {}", chunk, path_)};
    float scale = 0, minimum = 0;
    std::memcpy(&scale, record_.data(), 4);
    std::memcpy(&minimum, record_.data() + 2, 4);
    for (size_t i = 0; i < out.size(); ++i) out[i] = scale * static_cast<float>(record_[i + 4]) + minimum;
    return ok_status();
}

}  // namespace kvt
