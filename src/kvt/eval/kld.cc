#include "kvt/eval/kld.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

namespace {

// One run that is compared with the reference.
struct Lane {
    std::string              name;
    std::unique_ptr<Session> session;
    size_t                   max_chunks = SIZE_MAX;
    std::vector<ChunkScores> scores;
};

// Feeds reference and lanes chunk by chunk.
class Comparison {
public:
    Comparison(ModelRunner & runner, const Chunks & chunks, const KldOptions & options, KldRule rule)
        : runner_(runner), chunks_(chunks), options_(options), rows_(runner.n_vocab(), rule) {}

    Result<std::unique_ptr<Session>> open(std::optional<PrecisionPlan> plan, int n_ubatch) const {
        SessionOptions so;
        so.plan      = std::move(plan);
        so.n_ctx     = chunks_.n_ctx;
        so.n_batch   = std::min(options_.n_batch, chunks_.n_ctx);
        so.n_ubatch  = std::min(n_ubatch, so.n_batch);
        so.n_threads = options_.n_threads;
        return runner_.open(so);
    }

    Status add_lane(std::string name, std::optional<PrecisionPlan> plan, int n_ubatch, size_t max_chunks = SIZE_MAX) {
        auto session = open(std::move(plan), n_ubatch);
        if (!session.ok()) return Error{fmt::format("{}: {}", name, session.error().message)};
        lanes_.push_back({std::move(name), std::move(session).value(), max_chunks, {}});
        return ok_status();
    }

    // reference: a session, or null when rows come from `base`.
    Status run(Session * reference, KlBaseFile * base, Progress & progress) {
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

    std::vector<Lane> & lanes() { return lanes_; }

private:
    Status chunk(size_t c, Session * reference, KlBaseFile * base) {
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

    bool scored(int position) const { return position >= chunks_.first_scored() && position <= chunks_.n_ctx - 2; }

    Status read_base(KlBaseFile & base, size_t c, int position, int end) {
        for (int at = position; at < end; ++at) {
            if (!scored(at)) continue;
            const auto row = rows_.next_row();
            KVT_CHECK_OK(base.read_row(static_cast<int>(c), at - chunks_.first_scored(), row));
            KVT_CHECK_OK(rows_.add(static_cast<int>(c), at, row));
        }
        return ok_status();
    }

    Status read_reference(Session & reference, size_t c, std::span<const Token> slice) {
        Status trouble = ok_status();
        KVT_CHECK_OK(reference.decode(slice, chunks_.first_scored(), [&](int at, std::span<const float> logits) {
            if (scored(at) && trouble.ok()) trouble = rows_.add(static_cast<int>(c), at, logits);
        }));
        return trouble;
    }

    Status compare(Lane & lane, size_t c, int position, std::span<const Token> slice) {
        const int first   = std::max(position, chunks_.first_scored());
        Status    trouble = ok_status();
        auto      decoded = lane.session->decode(slice, chunks_.first_scored(), [&](int at, std::span<const float> logits) {
            if (!scored(at) || !trouble.ok()) return;
            const Token truth = chunks_.tokens[c][static_cast<size_t>(at) + 1];
            auto        score = rows_.compare(static_cast<size_t>(at - first), static_cast<int>(c), at, truth, logits);
            if (score.ok()) lane.scores.back().push_back(*score);
            else trouble = score.error();
        });
        if (decoded.ok()) decoded = trouble;
        if (!decoded.ok() && !interrupted()) return Error{fmt::format("{}: {}", lane.name, decoded.error().message)};
        return decoded;
    }

    // Mean so far of the first plan, for the progress line.
    std::string note() const {
        if (lanes_.empty()) return {};
        double sum = 0, n = 0;
        for (const ChunkScores & chunk : lanes_[0].scores) {
            for (const TokenScore & t : chunk) sum += t.kld, n += 1;
        }
        return fmt::format("{} KLD {:.4f}", lanes_[0].name, n > 0 ? sum / n : 0.0);
    }

    ModelRunner &      runner_;
    const Chunks &     chunks_;
    const KldOptions & options_;
    ReferenceRows      rows_;
    std::vector<Lane>  lanes_;
};

constexpr size_t kNoLane = SIZE_MAX;

// Where each result sits among the lanes.
struct LaneMap {
    bool   stock_first = false;  // with a base file, lane 0 is the stock f16 cache
    size_t n_plans     = 0;      // lanes [stock_first, stock_first + n_plans)
    size_t f0 = kNoLane, f1 = kNoLane, fk = kNoLane;
};

Result<FloorResult> floor_result(const char * name, std::string what, const Lane & lane, const ChunkDraws & draws) {
    FloorResult f;
    f.name     = name;
    f.what     = std::move(what);
    f.n_chunks = static_cast<int>(lane.scores.size());
    double n = 0, sum = 0, same = 0;
    for (const ChunkScores & chunk : lane.scores) {
        for (const TokenScore & t : chunk) {
            n += 1, sum += t.kld, same += t.same_top ? 1 : 0;
            f.max = std::max(f.max, t.kld);
        }
    }
    f.mean           = sum / n;
    f.same_top       = same / n;
    f.estimate.value = f.mean;
    if (lane.max_chunks == SIZE_MAX) {
        KVT_TRY(const KldStats stats, kld_stats(lane.scores, draws));
        f.estimate = stats.mean;
    }
    return f;
}

Status add_floors(KldRecord & record, const std::vector<Lane> & lanes, const LaneMap & map, const ChunkDraws & draws) {
    if (map.f0 != kNoLane) {
        KVT_TRY(FloorResult f0, floor_result("F0", "reference against itself", lanes[map.f0], draws));
        if (f0.max != 0 || f0.same_top != 1) {
            record.warnings.push_back(fmt::format("the reference is not deterministic: a second run differs by KLD {:.3g} (max {:.3g})", f0.mean, f0.max));
        }
        record.floors.push_back(std::move(f0));
    }
    if (map.f1 != kNoLane) {
        auto what = fmt::format("n_ubatch {} against {}", record.n_ubatch, std::max(1, record.n_ubatch / 2));
        KVT_TRY(FloorResult f1, floor_result("F1", std::move(what), lanes[map.f1], draws));
        record.floors.push_back(std::move(f1));
    }
    if (map.fk != kNoLane) {
        KVT_TRY(FloorResult fk, floor_result("Fk", "f16 cache through the plugin's kernels", lanes[map.fk], draws));
        record.floors.push_back(std::move(fk));
    }
    return ok_status();
}

// The lane of the higher floor, or kNoLane.
size_t higher_floor(const KldRecord & record, const LaneMap & map) {
    size_t lane = kNoLane;
    double mean = -1;
    for (const FloorResult & f : record.floors) {
        if (f.name == "F0" || f.mean <= mean) continue;
        mean = f.mean;
        lane = f.name == "F1" ? map.f1 : map.fk;
    }
    return lane;
}

Status add_plans(KldRecord & record, const std::vector<Lane> & lanes, const LaneMap & map, const KldOptions & options, const ChunkDraws & draws) {
    const size_t offset = map.stock_first ? 1 : 0;
    const size_t floor  = higher_floor(record, map);
    for (size_t i = 0; i < offset + map.n_plans; ++i) {
        const Lane & lane = lanes[i];
        PlanResult   r;
        r.name     = lane.name;
        r.kv_bytes = lane.session->kv_bytes();
        if (i >= offset) {
            const PrecisionPlan & plan = options.plans[i - offset].plan;
            r.payload_bits             = payload_bits(plan);
            r.effective_bits           = plan_size(plan, kSizeAtTokens).effective_bits;
        }
        KVT_TRY(r.stats, kld_stats(lane.scores, draws));
        if (floor != kNoLane) {
            r.above_floor = paired_difference(lane.scores, lanes[floor].scores, draws);
            r.at_floor    = r.above_floor->interval ? r.above_floor->interval->low <= 0 : r.above_floor->value <= 0;
        }
        if (i > offset) r.above_first = paired_difference(lane.scores, lanes[offset].scores, draws);
        record.plans.push_back(std::move(r));
    }
    return ok_status();
}

Result<KldRecord> evaluate(ModelRunner & runner, const Chunks & chunks, KlBaseFile * base, const KldOptions & options, Progress & progress) {
    const KldRule rule = base != nullptr ? KldRule::compat : KldRule::exact;
    Comparison    comparison(runner, chunks, options, rule);
    LaneMap       map;
    auto &        lanes = comparison.lanes();

    // The lanes: plans first, then floors.
    std::unique_ptr<Session> reference;
    if (base != nullptr) {
        map.stock_first = true;
        KVT_CHECK_OK(comparison.add_lane("f16 (stock)", std::nullopt, options.n_ubatch));
    } else {
        KVT_TRY(reference, comparison.open(std::nullopt, options.n_ubatch));
    }
    map.n_plans = options.plans.size();
    for (const NamedPlan & p : options.plans) {
        KVT_CHECK_OK(comparison.add_lane(p.name, p.plan, options.n_ubatch));
    }
    if (base == nullptr && options.floors == Floors::measure) {
        map.f0 = lanes.size();
        KVT_CHECK_OK(comparison.add_lane("floor F0", std::nullopt, options.n_ubatch, 1));
        if (options.mode == EvalMode::batch) {
            map.f1 = lanes.size();
            KVT_CHECK_OK(comparison.add_lane("floor F1", std::nullopt, std::max(1, options.n_ubatch / 2)));
        }
        if (!options.plans.empty()) {
            map.fk = lanes.size();
            KVT_CHECK_OK(comparison.add_lane("floor Fk", uniform_plan(runner.info(), Mode::custom, 16, 16), options.n_ubatch));
        }
    }
    if (lanes.empty() || (map.f0 == 0 && map.f1 == kNoLane)) return Error{"nothing to measure: no plan given"};
    KVT_CHECK_OK(comparison.run(reference.get(), base, progress));

    const ChunkDraws draws(chunks.tokens.size(), options.resamples, options.seed);
    KldRecord        record;
    record.model       = runner.info();
    record.data_name   = options.data_name;
    record.data_sha256 = options.data_sha256;
    record.base_file   = base != nullptr ? base->path() : "";
    record.n_ctx       = chunks.n_ctx;
    record.n_chunks    = static_cast<int>(chunks.tokens.size());
    record.n_batch     = std::min(options.n_batch, chunks.n_ctx);
    record.n_ubatch    = std::min(options.n_ubatch, record.n_batch);
    record.n_threads   = options.n_threads;
    record.n_tokens    = static_cast<int64_t>(chunks.tokens.size()) * chunks.scored_per_chunk();
    record.mode        = options.mode;
    record.rule        = rule;
    record.seed        = options.seed;
    record.resamples   = options.resamples;
    record.warnings    = options.warnings;
    const bool first_is_whole = lanes.front().max_chunks == SIZE_MAX;  // F0 sees one chunk only
    KVT_TRY(const KldStats any, kld_stats(first_is_whole ? lanes.front().scores : lanes.back().scores, draws));
    record.ppl_ref = any.ppl_ref;
    if (!draws.enough()) {
        record.warnings.push_back(fmt::format("{} chunks are too few for confidence intervals (at least {})", record.n_chunks, kMinChunksInterval));
    }
    KVT_CHECK_OK(add_floors(record, lanes, map, draws));
    KVT_CHECK_OK(add_plans(record, lanes, map, options, draws));
    return record;
}

Status check_batches(const KldOptions & o) {
    if (o.n_batch < 1 || o.n_ubatch < 1) return Error{fmt::format("n_batch {} and n_ubatch {} must be at least 1", o.n_batch, o.n_ubatch)};
    if (o.resamples < 1) return Error{fmt::format("number of resamples {} must be at least 1", o.resamples)};
    return ok_status();
}

}  // namespace

Result<KldRecord> evaluate_kld(ModelRunner & runner, std::span<const Token> tokens, const KldOptions & options, Progress & progress) {
    KVT_CHECK_OK(check_batches(options));
    const int max_chunks = options.max_chunks == 0 && options.mode == EvalMode::decode ? kDefaultDecodeChunks : options.max_chunks;
    KVT_TRY(const Chunks chunks, make_chunks(runner, tokens, options.n_ctx, max_chunks, options.long_context));
    return evaluate(runner, chunks, nullptr, options, progress);
}

Result<KldRecord> evaluate_kld_base(ModelRunner & runner, KlBaseFile & base, const KldOptions & options, Progress & progress) {
    KVT_CHECK_OK(check_batches(options));
    if (base.n_vocab() != runner.n_vocab()) {
        return Error{fmt::format("base file {} is of a model with a vocabulary of {}, this model has {}", base.path(), base.n_vocab(), runner.n_vocab())};
    }
    Chunks chunks;
    chunks.n_ctx = base.n_ctx();
    if (chunks.n_ctx > runner.n_ctx_train() && options.long_context == LongContext::refuse) {
        return Error{fmt::format("base file {} has contexts of {} tokens, the model was trained on {}; --force measures anyway", base.path(),
                                 chunks.n_ctx, runner.n_ctx_train())};
    }
    const int n = options.max_chunks > 0 ? std::min(options.max_chunks, base.n_chunks()) : base.n_chunks();
    for (int i = 0; i < n; ++i) {
        const auto part = base.tokens().subspan(static_cast<size_t>(i) * static_cast<size_t>(chunks.n_ctx), static_cast<size_t>(chunks.n_ctx));
        auto &     copy = chunks.tokens.emplace_back(part.begin(), part.end());
        if (runner.adds_bos()) copy[0] = runner.bos();
    }
    return evaluate(runner, chunks, &base, options, progress);
}

}  // namespace kvt
