// Feeds a reference and the runs to compare with it the same tokens in turn, slice by slice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/progress.h"
#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/eval/chunks.h"
#include "kvt/eval/kl_base_file.h"
#include "kvt/eval/kld.h"
#include "kvt/eval/token_scores.h"

namespace kvt {

// --- Interface ---

inline constexpr size_t kAllChunks = SIZE_MAX;

// One run that is compared with the reference.
struct Lane {
    std::string              name;
    std::unique_ptr<Session> session;
    size_t                   max_chunks = kAllChunks;
    std::vector<ChunkScores> scores;  // of the chunks fed so far
};

class Comparison {
public:
    // The arguments must outlive the comparison.
    Comparison(ModelRunner & runner, const Chunks & chunks, const KldOptions & options, KldRule rule)
        : runner_(runner), chunks_(chunks), options_(options), rows_(runner.n_vocab(), rule) {}

    // A session of one chunk's length, with the batches and threads of the options.
    Result<std::unique_ptr<Session>> open(std::optional<PrecisionPlan> plan, int n_ubatch) const;

    // Adds a run over the first max_chunks chunks. Errors name it.
    Status add_lane(std::string name, std::optional<PrecisionPlan> plan, int n_ubatch, size_t max_chunks = kAllChunks);

    // Feeds everything. reference: a session, or null when the rows come from `base`.
    // Errors: decoding, logits that are not finite, "interrupted after ...".
    Status run(Session * reference, KlBaseFile * base, Progress & progress);

    const std::vector<Lane> & lanes() const { return lanes_; }

private:
    Status chunk(size_t c, Session * reference, KlBaseFile * base);
    Status read_base(KlBaseFile & base, size_t c, int position, int end);
    Status read_reference(Session & reference, size_t c, std::span<const Token> slice);
    Status compare(Lane & lane, size_t c, int position, std::span<const Token> slice);
    bool   scored(int position) const { return position >= chunks_.first_scored() && position <= chunks_.n_ctx - 2; }

    std::string note() const;  // mean so far of the first lane, for the progress line

    ModelRunner &      runner_;
    const Chunks &     chunks_;
    const KldOptions & options_;
    ReferenceRows      rows_;
    std::vector<Lane>  lanes_;
};

}  // namespace kvt
