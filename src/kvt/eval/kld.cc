#include "kvt/eval/kld.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "kvt/base/sha256.h"
#include "kvt/eval/comparison.h"

namespace kvt {

// --- Implementation ---

namespace {

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
    if (lane.max_chunks == kAllChunks) {
        KVT_TRY(const KldStats stats, kld_stats(lane.scores, draws));
        f.estimate = stats.mean;
    }
    return f;
}

Status add_floors(KldRecord & record, const std::vector<Lane> & lanes, const LaneMap & map, const ChunkDraws & draws) {
    if (map.f0 != kNoLane) {
        KVT_TRY(FloorResult f0, floor_result("F0", "reference against itself", lanes[map.f0], draws));
        if (f0.max != 0 || f0.same_top != 1) {
            record.warnings.push_back(fmt::format(
                "the reference is not deterministic: a second run differs by KLD {:.3g} (max {:.3g})", f0.mean, f0.max));
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

Status add_plans(KldRecord & record, const std::vector<Lane> & lanes, const LaneMap & map, const KldOptions & options,
                 const ChunkDraws & draws) {
    const size_t offset = map.stock_first ? 1 : 0;
    const size_t floor  = higher_floor(record, map);
    for (size_t i = 0; i < offset + map.n_plans; ++i) {
        const Lane & lane = lanes[i];
        PlanResult   r;
        r.name     = lane.name;
        r.kv_bytes = lane.session->kv_bytes();
        if (i >= offset) {
            const PrecisionPlan & plan = options.plans[i - offset].plan;
            r.plan_sha256              = sha256_hex(write_plan(plan));
            r.payload_bits             = payload_bits(plan);
            r.effective_bits           = plan_size(plan, kSizeAtTokens).effective_bits;
        }
        KVT_TRY(r.stats, kld_stats(lane.scores, draws));
        r.by_position = error_by_position(lane.scores, record.n_ctx / 2);
        if (floor != kNoLane) {
            r.above_floor = paired_difference(lane.scores, lanes[floor].scores, draws);
            r.at_floor    = r.above_floor->interval ? r.above_floor->interval->low <= 0 : r.above_floor->value <= 0;
        }
        if (i > offset) r.above_first = paired_difference(lane.scores, lanes[offset].scores, draws);
        record.plans.push_back(std::move(r));
    }
    return ok_status();
}

Result<KldRecord> evaluate(ModelRunner & runner, const Chunks & chunks, KlBaseFile * base, const KldOptions & options,
                           Progress & progress) {
    const KldRule rule = base != nullptr ? KldRule::compat : KldRule::exact;
    Comparison    comparison(runner, chunks, options, rule);
    LaneMap       map;
    const auto &  lanes = comparison.lanes();

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
            KVT_CHECK_OK(comparison.add_lane("floor Fk", f16_plan(runner.info()), options.n_ubatch));
        }
    }
    if (lanes.empty() || (map.f0 == 0 && map.f1 == kNoLane)) return Error{"nothing to measure: no plan given"};
    KVT_CHECK_OK(comparison.run(reference.get(), base, progress));

    const ChunkDraws draws(chunks.tokens.size(), options.resamples, options.seed);
    KldRecord        record;
    record.model              = runner.info();
    record.tool_version       = options.tool_version;
    record.data_name          = options.data_name;
    record.data_sha256        = options.data_sha256;
    record.base_file          = base != nullptr ? base->path() : "";
    record.n_ctx              = chunks.n_ctx;
    record.n_chunks           = static_cast<int>(chunks.tokens.size());
    record.n_batch            = std::min(options.n_batch, chunks.n_ctx);
    record.n_ubatch           = std::min(options.n_ubatch, record.n_batch);
    record.n_threads          = options.n_threads;
    record.n_tokens           = static_cast<int64_t>(chunks.tokens.size()) * chunks.scored_per_chunk();
    record.mode               = options.mode;
    record.rule               = rule;
    record.seed               = options.seed;
    record.resamples          = options.resamples;
    record.warnings           = options.warnings;
    const bool first_is_whole = lanes.front().max_chunks == kAllChunks;  // F0 sees one chunk only
    KVT_TRY(const KldStats any, kld_stats(first_is_whole ? lanes.front().scores : lanes.back().scores, draws));
    record.ppl_ref = any.ppl_ref;
    if (!draws.enough()) {
        record.warnings.push_back(
            fmt::format("{} chunks are too few for confidence intervals (at least {})", record.n_chunks, kMinChunksInterval));
    }
    KVT_CHECK_OK(add_floors(record, lanes, map, draws));
    KVT_CHECK_OK(add_plans(record, lanes, map, options, draws));
    return record;
}

Status check_batches(const KldOptions & o) {
    if (o.n_batch < 1 || o.n_ubatch < 1)
        return Error{fmt::format("n_batch {} and n_ubatch {} must be at least 1", o.n_batch, o.n_ubatch)};
    if (o.resamples < 1) return Error{fmt::format("number of resamples {} must be at least 1", o.resamples)};
    return ok_status();
}

}  // namespace

std::vector<PositionError> error_by_position(std::span<const ChunkScores> chunks, int first_scored) {
    const size_t               n      = chunks.empty() ? 0 : chunks[0].size();
    const size_t               n_bins = std::min<size_t>(n, kPositionBins);
    std::vector<PositionError> bins;
    for (size_t b = 0; b < n_bins; ++b) {
        const size_t  begin = b * n / n_bins, end = (b + 1) * n / n_bins;
        PositionError bin{first_scored + static_cast<int>(begin), first_scored + static_cast<int>(end) - 1, 0, 0};
        const double  share = 1.0 / (static_cast<double>(end - begin) * static_cast<double>(chunks.size()));
        for (const ChunkScores & chunk : chunks) {
            for (size_t i = begin; i < end; ++i) {
                bin.kld += share * chunk[i].kld;
                bin.same_top += chunk[i].same_top ? share : 0;
            }
        }
        bins.push_back(bin);
    }
    return bins;
}

Result<KldRecord> evaluate_kld(ModelRunner & runner, std::span<const Token> tokens, const KldOptions & options,
                               Progress & progress) {
    KVT_CHECK_OK(check_batches(options));
    const int max_chunks =
        options.max_chunks == 0 && options.mode == EvalMode::decode ? kDefaultDecodeChunks : options.max_chunks;
    KVT_TRY(const Chunks chunks, make_chunks(runner, tokens, options.n_ctx, max_chunks, options.long_context));
    return evaluate(runner, chunks, nullptr, options, progress);
}

Result<KldRecord> evaluate_kld_base(ModelRunner & runner, KlBaseFile & base, const KldOptions & options, Progress & progress) {
    KVT_CHECK_OK(check_batches(options));
    if (base.n_vocab() != runner.n_vocab()) {
        return Error{fmt::format("base file {} is of a model with a vocabulary of {}, this model has {}", base.path(),
                                 base.n_vocab(), runner.n_vocab())};
    }
    Chunks chunks;
    chunks.n_ctx = base.n_ctx();
    if (chunks.n_ctx > runner.n_ctx_train() && options.long_context == LongContext::refuse) {
        return Error{fmt::format("base file {} has contexts of {} tokens, the model was trained on {}; --force measures anyway",
                                 base.path(), chunks.n_ctx, runner.n_ctx_train())};
    }
    const int n = options.max_chunks > 0 ? std::min(options.max_chunks, base.n_chunks()) : base.n_chunks();
    for (int i = 0; i < n; ++i) {
        const auto part =
            base.tokens().subspan(static_cast<size_t>(i) * static_cast<size_t>(chunks.n_ctx), static_cast<size_t>(chunks.n_ctx));
        auto & copy = chunks.tokens.emplace_back(part.begin(), part.end());
        if (runner.adds_bos()) copy[0] = runner.bos();
    }
    return evaluate(runner, chunks, &base, options, progress);
}

}  // namespace kvt
