#include "kvt/eval/comparison.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

Result<std::unique_ptr<Session>> Comparison::open(std::optional<PrecisionPlan> plan, int n_ubatch) const {
    SessionOptions so;
    so.plan      = std::move(plan);
    so.n_ctx     = chunks_.n_ctx;
    so.n_batch   = std::min(options_.n_batch, chunks_.n_ctx);
    so.n_ubatch  = std::min(n_ubatch, so.n_batch);
    so.n_threads = options_.n_threads;
    return runner_.open(so);
}

Status Comparison::add_lane(std::string name, std::optional<PrecisionPlan> plan, int n_ubatch, size_t max_chunks) {
    auto session = open(std::move(plan), n_ubatch);
    if (!session.ok()) return Error{fmt::format("{}: {}", name, session.error().message)};
    lanes_.push_back({std::move(name), std::move(session).value(), max_chunks, {}});
    return ok_status();
}

Status Comparison::run(Session * reference, KlBaseFile * base, Progress & progress) {
    const auto n_chunks = static_cast<int64_t>(chunks_.tokens.size());
    progress.begin("measuring KL divergence", n_chunks);
    for (size_t c = 0; c < chunks_.tokens.size(); ++c) {
        if (interrupted()) return Error{fmt::format("interrupted after {} of {} chunks", c, n_chunks)};
        KVT_CHECK_OK(chunk(c, reference, base));
        progress.done(1);
        progress.note(note());
    }
    progress.end();
    return ok_status();
}

Status Comparison::chunk(size_t c, Session * reference, KlBaseFile * base) {
    if (reference != nullptr) reference->clear();
    for (Lane & lane : lanes_) {
        if (c >= lane.max_chunks) continue;
        lane.session->clear();
        lane.scores.emplace_back();
    }
    int position = 0;
    for (const auto slice : chunk_slices(chunks_, c, options_.mode, options_.n_batch)) {
        const int end = position + static_cast<int>(slice.size());
        rows_.clear();
        KVT_CHECK_OK(base != nullptr ? read_base(*base, c, position, end) : read_reference(*reference, c, slice));
        for (Lane & lane : lanes_) {
            if (c >= lane.max_chunks) continue;
            KVT_CHECK_OK(compare(lane, c, position, slice));
        }
        position = end;
    }
    return ok_status();
}

Status Comparison::read_base(KlBaseFile & base, size_t c, int position, int end) {
    for (int at = position; at < end; ++at) {
        if (!scored(at)) continue;
        const auto row = rows_.next_row();
        KVT_CHECK_OK(base.read_row(static_cast<int>(c), at - chunks_.first_scored(), row));
        KVT_CHECK_OK(rows_.add(static_cast<int>(c), at, row));
    }
    return ok_status();
}

Status Comparison::read_reference(Session & reference, size_t c, std::span<const Token> slice) {
    Status trouble = ok_status();
    KVT_CHECK_OK(reference.decode(slice, chunks_.first_scored(), [&](int at, std::span<const float> logits) {
        if (scored(at) && trouble.ok()) trouble = rows_.add(static_cast<int>(c), at, logits);
    }));
    return trouble;
}

Status Comparison::compare(Lane & lane, size_t c, int position, std::span<const Token> slice) {
    const int first   = std::max(position, chunks_.first_scored());
    Status    trouble = ok_status();
    auto      decoded = lane.session->decode(slice, chunks_.first_scored(), [&](int at, std::span<const float> logits) {
        if (!scored(at) || !trouble.ok()) return;
        const Token truth = chunks_.tokens[c][static_cast<size_t>(at) + 1];
        auto        score = rows_.compare(static_cast<size_t>(at - first), static_cast<int>(c), at, truth, logits);
        if (score.ok())
            lane.scores.back().push_back(*score);
        else
            trouble = score.error();
    });
    if (decoded.ok()) decoded = trouble;
    if (!decoded.ok() && !interrupted()) return Error{fmt::format("{}: {}", lane.name, decoded.error().message)};
    return decoded;
}

std::string Comparison::note() const {
    if (lanes_.empty()) return {};
    double sum = 0, n = 0;
    for (const ChunkScores & chunk : lanes_[0].scores) {
        for (const TokenScore & t : chunk) sum += t.kld, n += 1;
    }
    return fmt::format("{} KLD {:.4f}", lanes_[0].name, n > 0 ? sum / n : 0.0);
}

}  // namespace kvt
